//! The SKUs and warehouses that an import has met: each gets a number, and is planned once. Memory grows with the
//! catalogue, not with the file.

use hashbrown::HashMap;

use super::classify::Entry;
use super::plan::{DepotNo, PlannedVariant, PlannedWarehouse, SkuNo};
use super::template::tidy;

/// The longest name, in characters.
const NAME_LENGTH_MAX: usize = 200;

/// The SKUs and warehouses met so far.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    skus: HashMap<Box<str>, SkuState, foldhash::fast::FixedState>,
    depots: HashMap<Box<str>, DepotNo, foldhash::fast::FixedState>,
    fresh_variants: Vec<PlannedVariant>,
    fresh_depots: Vec<PlannedWarehouse>,
}

#[derive(Clone, Copy, Debug)]
struct SkuState {
    no: SkuNo,
    /// Planned to be made, in this chunk or before.
    create: bool,
    /// Where it stands in the current chunk's list.
    fresh: Option<usize>,
}

impl Catalogue {
    /// The number of a SKU that an event needs.
    pub(crate) fn sku(&mut self, sku: &str) -> SkuNo {
        self.plan(sku, "", false)
    }

    /// Notes a row that makes a catalogue entry.
    pub(crate) fn enter(&mut self, entry: Entry<'_>) {
        self.plan(entry.sku, entry.name, true);
    }

    /// The number of a warehouse that an event needs.
    pub(crate) fn depot(&mut self, code: &str, name: &str) -> DepotNo {
        if let Some(no) = self.depots.get(code) {
            return *no;
        }
        let no = DepotNo(number(self.depots.len()));
        self.depots.insert(code.into(), no);
        self.fresh_depots.push(PlannedWarehouse {
            no,
            code: code.into(),
            name: name_or(name, code),
        });
        no
    }

    /// What was met since it was last asked.
    pub(crate) fn take_fresh(&mut self) -> (Vec<PlannedWarehouse>, Vec<PlannedVariant>) {
        for variant in &self.fresh_variants {
            if let Some(state) = self.skus.get_mut(&variant.sku) {
                state.fresh = None;
            }
        }
        let depots = std::mem::take(&mut self.fresh_depots);
        (depots, std::mem::take(&mut self.fresh_variants))
    }

    fn plan(&mut self, sku: &str, name: &str, create: bool) -> SkuNo {
        let count = self.skus.len();
        let state = match self.skus.get_mut(sku) {
            Some(state) => state,
            None => self
                .skus
                .entry(sku.into())
                .insert(SkuState {
                    no: SkuNo(number(count)),
                    create: false,
                    fresh: None,
                })
                .into_mut(),
        };
        let is_new = state.no.0 == number(count);
        if is_new || (create && !state.create) {
            state.create |= create;
            match state.fresh {
                Some(at) => self.fresh_variants[at].create |= create,
                None => {
                    state.fresh = Some(self.fresh_variants.len());
                    self.fresh_variants.push(PlannedVariant {
                        no: state.no,
                        sku: sku.into(),
                        name: sku.into(),
                        create,
                    });
                }
            }
        }
        // The first name that rows of this chunk have: a blank one before it does not count.
        if let Some(at) = state.fresh.filter(|_| create && !name.is_empty()) {
            let planned = &mut self.fresh_variants[at];
            if planned.name == planned.sku {
                planned.name = name_or(name, sku);
            }
        }
        state.no
    }
}

fn name_or(name: &str, otherwise: &str) -> Box<str> {
    let name = tidy(name, NAME_LENGTH_MAX);
    if name.is_empty() { otherwise.into() } else { name }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a ledger's numbers end before four billion SKUs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(catalogue: &mut Catalogue, sku: &str, name: &str) {
        catalogue.enter(Entry { sku, name });
    }

    #[test]
    fn a_variant_is_planned_once_with_the_first_name_that_is_not_blank() {
        let mut catalogue = Catalogue::default();
        enter(&mut catalogue, "A", "");
        enter(&mut catalogue, "a", "small");
        enter(&mut catalogue, "A", "BIG");
        enter(&mut catalogue, "A", "later");
        let (_, fresh) = catalogue.take_fresh();
        let named: Vec<_> = fresh.iter().map(|v| (&*v.sku, &*v.name, v.create)).collect();
        assert_eq!(named, [("A", "BIG", true), ("a", "small", true)]);
        enter(&mut catalogue, "A", "again");
        assert_eq!(catalogue.take_fresh().1, []);
    }

    #[test]
    fn a_variant_that_only_events_named_is_made_when_a_row_enters_it() {
        let mut catalogue = Catalogue::default();
        let no = catalogue.sku("A");
        let (_, fresh) = catalogue.take_fresh();
        assert_eq!((fresh.len(), fresh[0].create), (1, false));
        enter(&mut catalogue, "A", "name");
        let (_, fresh) = catalogue.take_fresh();
        assert_eq!(
            (fresh[0].no, fresh[0].create, &*fresh[0].name),
            (no, true, "name")
        );
    }
}
