//! How events become the catalogue.

use std::sync::Arc;

use crate::sql::Connection;
use bincard_ledger::{CatalogueEvent, Event, Inconsistent, Position, Recorded, Timestamp, VariantNo};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::memory::Memory;
use super::{SlotSettings, queries, slots};
use crate::fold::Lots;
use crate::name::ViewName;
use crate::stock::StockKey;
use crate::view::View;

/// Slots by key, each with its settings where it ever had any.
pub(crate) type Slots = HashMap<StockKey, Option<Arc<SlotSettings>>, FixedState>;

/// The view. Of warehouses, products and variants it carries nothing but which lots there are: their events say all that they change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) slots: Slots,
    lots: Lots,
}

/// A change with its place.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) position: Position,
    pub(crate) recorded_at: Timestamp,
    pub(crate) what: What,
}

/// What changes.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// What an event of the catalogue says.
    Event(CatalogueEvent),
    /// There is a slot now.
    Slot(StockKey),
    /// A lot takes stock events, or takes no more.
    LotActive(VariantNo, bool),
}

impl Catalogue {
    fn is_lot(&self, no: VariantNo) -> bool {
        self.lots.variant_of(no) != no
    }

    /// Makes a slot, unless there is one.
    fn open_slot(&mut self, key: StockKey, recorded: &Recorded, rows: &mut Vec<Change>) {
        if !self.slots.contains_key(&key) {
            self.slots.insert(key, None);
            rows.push(Change::of(recorded, What::Slot(key)));
        }
    }
}

impl Change {
    fn of(recorded: &Recorded, what: What) -> Change {
        Change {
            position: recorded.position,
            recorded_at: recorded.recorded_at,
            what,
        }
    }
}

/// Changes the settings of a slot; they are shared with what queries read, and so never changed in place.
pub(crate) fn change_slot(slots: &mut Slots, key: StockKey, change: &bincard_ledger::event::SlotChange) {
    let slot = slots.entry(key).or_default();
    let mut settings = slot.as_deref().cloned().unwrap_or_default();
    settings.change(change);
    *slot = Some(Arc::new(settings));
}

impl View for Catalogue {
    type Rows = Vec<Change>;
    type Memory = Memory;

    const NAME: ViewName = ViewName::Catalogue;
    const IN_MEMORY: bool = true;
    const SCHEMA_VERSION: i64 = 3;
    const SCHEMA: &'static [&'static str] = queries::SCHEMA;

    fn empty() -> Catalogue {
        Catalogue::default()
    }

    async fn load(connection: &mut Connection<'_>) -> Result<Catalogue, sqlx::Error> {
        let mut catalogue = Catalogue::default();
        slots::load(connection, |key, settings| {
            catalogue.slots.insert(key, settings);
        })
        .await?;
        catalogue
            .lots
            .load(connection, "select no, variant from lots")
            .await?;
        Ok(catalogue)
    }

    fn fold(&mut self, recorded: &Recorded, rows: &mut Vec<Change>) -> Result<(), Inconsistent> {
        match &recorded.record.event {
            Event::Stock(event) => {
                for posting in &event.postings {
                    let (warehouse, variant) = (event.warehouse, self.lots.variant_of(posting.variant));
                    self.open_slot(StockKey { warehouse, variant }, recorded, rows);
                }
            }
            Event::Catalogue(event) => {
                if let CatalogueEvent::SlotChanged {
                    warehouse,
                    variant,
                    change,
                } = event
                {
                    let (warehouse, variant) = (*warehouse, *variant);
                    let key = StockKey { warehouse, variant };
                    self.open_slot(key, recorded, rows);
                    change_slot(&mut self.slots, key, change);
                }
                self.lots.hear(event);
                let what = match *event {
                    CatalogueEvent::VariantActivated(no) if self.is_lot(no) => What::LotActive(no, true),
                    CatalogueEvent::VariantDeactivated(no) if self.is_lot(no) => What::LotActive(no, false),
                    _ => What::Event(event.clone()),
                };
                rows.push(Change::of(recorded, what));
            }
        }
        Ok(())
    }

    fn seal(&mut self, _: &mut Vec<Change>) {}

    async fn write(connection: &mut Connection<'_>, rows: &Vec<Change>) -> Result<(), sqlx::Error> {
        queries::write(connection, rows).await
    }

    fn memory(&self, position: Position) -> Memory {
        Memory::new(&self.slots, position)
    }

    fn publish(memory: &Memory, rows: &Vec<Change>, position: Position) {
        memory.publish(rows, position);
    }
}
