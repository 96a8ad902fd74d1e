//! The ledger's lots beside a model that is as naive as can be: piles of units, each of one lot in one place.
//!
//! Commands are drawn at random over two warehouses, a variant in lots and one that is not. The model decides each by going
//! over its piles; it must refuse what the ledger refuses, and have the same units in the same places.

use std::collections::BTreeMap;

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::{
    Bucket, Command, Event, Kind, Line, LineLot, Position, Reason, RecallCommand, ReceiveCommand,
    ReceivedLine, Rejection, StockCommand, Timestamp, VariantNo, WarehouseNo, snapshot,
};
use proptest::prelude::*;

use crate::journal::Journal;

const LOTTED: VariantNo = VariantNo(1);
const PLAIN: VariantNo = VariantNo(2);
const CODES: [&str; 4] = ["D", "B", "A", "C"];

/// What is asked for, before it is known what there is.
#[derive(Clone, Debug)]
enum Ask {
    Move {
        kind: Kind,
        warehouse: u32,
        /// Of the variant in lots: which lot is named, if any, and how many units.
        lots: Vec<(Option<usize>, i64)>,
        plain: i64,
        order: usize,
        partial: bool,
        reason: Option<Reason>,
        expires_in: Option<i64>,
        /// Of an ADJUST: it takes away.
        less: bool,
    },
    Send {
        from: u32,
        lots: Vec<(Option<usize>, i64)>,
    },
    Receive {
        which: usize,
        lot: Option<usize>,
        units: [i64; 3],
    },
    Change {
        lot: usize,
        expires_in: Option<Option<i64>>,
        active: Option<bool>,
    },
    Recall {
        lot: usize,
        is_over: bool,
    },
    Wait(i64),
}

fn ask() -> impl Strategy<Value = Ask> {
    let lots = || prop::collection::vec((prop::option::weighted(0.6, 0..CODES.len()), 1..7i64), 1..3);
    let kind = prop::sample::select(vec![
        Kind::Inbound,
        Kind::Inbound,
        Kind::Outbound,
        Kind::Adjust,
        Kind::Adjust,
        Kind::Reservation,
        Kind::Reservation,
        Kind::Release,
        Kind::Pick,
        Kind::Pack,
        Kind::Ship,
        Kind::Hold,
        Kind::Unhold,
    ]);
    let reasons = vec![Reason::Damage, Reason::DiscardExpired, Reason::Return];
    let reason = prop::option::weighted(0.3, prop::sample::select(reasons));
    let movement = (
        kind,
        1..3u32,
        lots(),
        -4..5i64,
        0..2usize,
        any::<bool>(),
        reason,
        prop::option::of(1..9i64),
        any::<bool>(),
    );
    prop_oneof![
        12 => movement.prop_map(|(kind, warehouse, lots, plain, order, partial, reason, expires_in, less)| Ask::Move {
            kind, warehouse, lots, plain, order, partial, reason, expires_in, less,
        }),
        2 => (1..3u32, lots()).prop_map(|(from, lots)| Ask::Send { from, lots }),
        2 => (0..3usize, prop::option::of(0..CODES.len()), [0..4i64, 0..3i64, 0..3i64])
            .prop_map(|(which, lot, units)| Ask::Receive { which, lot, units }),
        1 => (0..CODES.len(), prop::option::of(prop::option::of(1..20i64)), prop::option::of(any::<bool>()))
            .prop_map(|(lot, expires_in, active)| Ask::Change { lot, expires_in, active }),
        1 => (0..CODES.len(), any::<bool>()).prop_map(|(lot, is_over)| Ask::Recall { lot, is_over }),
        2 => (1..6i64).prop_map(Ask::Wait),
    ]
}

/// Where a pile is: at a warehouse in a bucket, perhaps an order's by one of its reservations; or on the way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Where {
    At(u32, Bucket, Option<usize>),
    OnTheWay(usize),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Lot {
    code: &'static str,
    expires_at: Option<i64>,
    active: bool,
}

#[derive(Clone, Debug)]
struct Reserved {
    order: usize,
    warehouse: u32,
    expires_at: Option<i64>,
    /// Its lots in the order of reserving.
    lots: Vec<usize>,
}

#[derive(Clone, Default, Debug)]
struct Piles {
    /// Lots in the order of their first receipts.
    lots: Vec<Lot>,
    /// Units by lot (`None` is the variant without lots) and place.
    units: BTreeMap<(Option<usize>, Where), i64>,
    reserved: Vec<Reserved>,
    /// Destinations of what was sent.
    sent: Vec<u32>,
    /// What of lots out of use was set aside because of that, by lot and warehouse.
    aside: BTreeMap<(usize, u32), i64>,
    now: i64,
}

type Short = (VariantNo, i64, i64);

impl Piles {
    fn of(&self, lot: Option<usize>, place: Where) -> i64 {
        self.units.get(&(lot, place)).copied().unwrap_or(0)
    }

    fn shift(&mut self, lot: Option<usize>, from: Option<Where>, to: Option<Where>, units: i64) {
        for (place, units) in [(from, -units), (to, units)] {
            if let Some(place) = place {
                *self.units.entry((lot, place)).or_default() += units;
            }
        }
    }

    /// Reservations that have run out let go of what they have reserved.
    fn pass_time(&mut self) {
        for ((lot, place), units) in self.units.clone() {
            if let Where::At(warehouse, Bucket::Reserved, Some(by)) = place
                && self.reserved[by].expires_at.is_some_and(|at| at <= self.now)
            {
                let free = Where::At(warehouse, Bucket::Available, None);
                self.shift(lot, Some(place), Some(free), units);
            }
        }
    }

    /// What became available of lots out of use, compared with `before`, is held; what left `held` was set aside before
    /// anything else, and what somebody held is set aside. `kind` is that of the movement, where it was one.
    fn set_aside(&mut self, before: &Piles, kind: Option<Kind>) {
        for lot in (0..before.lots.len()).filter(|lot| !before.lots[*lot].active) {
            for warehouse in 1..3 {
                let [available, held] =
                    [Bucket::Available, Bucket::Held].map(|bucket| Where::At(warehouse, bucket, None));
                let more = |place| self.of(Some(lot), place) - before.of(Some(lot), place);
                let (free, gone) = (more(available), -more(held));
                let aside = self.aside.entry((lot, warehouse)).or_default();
                *aside = (*aside - gone.max(0)).max(0);
                if kind == Some(Kind::Hold) {
                    *aside += (-gone).max(0);
                }
                if free > 0 && kind != Some(Kind::Unhold) {
                    *aside += free;
                    self.shift(Some(lot), Some(available), Some(held), free);
                }
            }
        }
    }

    fn is_any_out_of_use(&self) -> bool {
        self.lots.iter().any(|lot| !lot.active)
    }

    fn by_code(&self, code: usize) -> Option<usize> {
        self.lots.iter().position(|lot| lot.code == CODES[code])
    }

    /// Lots in the order of taking.
    fn in_order(&self) -> Vec<usize> {
        let mut lots: Vec<_> = (0..self.lots.len()).collect();
        lots.sort_by_key(|lot| (self.lots[*lot].expires_at.unwrap_or(i64::MAX), *lot));
        lots
    }

    /// Whether what is said of a lot by its name may be done.
    fn is_good(&self, lot: usize, kind: Kind, reason: Option<Reason>, is_brought_in: bool) -> bool {
        let lot = &self.lots[lot];
        let finishes = matches!(
            kind,
            Kind::Release | Kind::Pick | Kind::Pack | Kind::Ship | Kind::Unhold
        );
        let for_customers = matches!(kind, Kind::Outbound | Kind::Reservation);
        let expired = lot.expires_at.is_some_and(|at| at <= self.now);
        let may_be_out_of_use = finishes || is_brought_in || kind == Kind::Hold;
        reason.is_some() || (lot.active || may_be_out_of_use) && !(for_customers && expired)
    }

    /// The places of an order's units in a bucket, oldest reservation first.
    fn an_orders(&self, order: usize, warehouse: u32, bucket: Bucket) -> Vec<Where> {
        let own = |by: &usize| self.reserved[*by].order == order && self.reserved[*by].warehouse == warehouse;
        let by = (0..self.reserved.len()).filter(own);
        by.map(|by| Where::At(warehouse, bucket, Some(by))).collect()
    }
}

/// What the model makes of a movement: done, or what it is short of, or refused for another reason.
enum Outcome {
    Done(Piles),
    Short(Vec<Short>),
    Refused,
}

fn take(before: &Piles, ask: &Ask) -> Outcome {
    let mut piles = before.clone();
    let Ask::Move {
        kind,
        warehouse,
        lots,
        plain,
        order,
        partial,
        reason,
        expires_in,
        less,
    } = ask
    else {
        unreachable!("only movements are taken")
    };
    let is_brought_in = *kind == Kind::Inbound || *kind == Kind::Adjust && !less;
    let (kind, warehouse, partial) = (*kind, *warehouse, *partial && *kind == Kind::Reservation);
    let reservation = piles.reserved.len();
    if kind == Kind::Reservation {
        piles.reserved.push(Reserved {
            order: *order,
            warehouse,
            expires_at: expires_in.map(|seconds| piles.now + seconds),
            lots: Vec::new(),
        });
    }
    let here = |bucket| vec![Where::At(warehouse, bucket, None)];
    let held = |bucket| before.an_orders(*order, warehouse, bucket);
    let (from, bucket): (Vec<Where>, Option<Bucket>) = match kind {
        _ if is_brought_in => (vec![], Some(Bucket::Available)),
        Kind::Outbound | Kind::Adjust => (here(Bucket::Available), None),
        Kind::Reservation => (here(Bucket::Available), Some(Bucket::Reserved)),
        Kind::Release => (held(Bucket::Reserved), Some(Bucket::Available)),
        Kind::Pick => (held(Bucket::Reserved), Some(Bucket::Picked)),
        Kind::Pack => (held(Bucket::Picked), Some(Bucket::Packed)),
        Kind::Ship => (held(Bucket::Packed), None),
        Kind::Hold => (here(Bucket::Available), Some(Bucket::Held)),
        _ => (here(Bucket::Held), Some(Bucket::Available)),
    };
    // Where it goes, from one of the places.
    let to = |from: Option<Where>| {
        let by = match (kind, from) {
            (Kind::Reservation, _) => Some(reservation),
            (Kind::Pick | Kind::Pack, Some(Where::At(_, _, by))) => by,
            _ => None,
        };
        bucket.map(|bucket| Where::At(warehouse, bucket, by))
    };
    let names: Vec<_> = lots.iter().map(|(name, _)| *name).collect();
    let twice = names.len() == 2 && (names[0] == names[1] || names.contains(&None));
    if twice {
        return Outcome::Refused;
    }
    if is_brought_in {
        if names.contains(&None) {
            return Outcome::Refused;
        }
        let mut new: Vec<_> = names
            .iter()
            .flatten()
            .filter(|code| piles.by_code(**code).is_none())
            .collect();
        new.sort_by_key(|code| CODES[**code]);
        for code in new {
            piles.lots.push(Lot {
                code: CODES[*code],
                expires_at: None,
                active: true,
            });
        }
    }
    let mut lines: Vec<(Option<usize>, VariantNo, Option<usize>, i64)> = Vec::new();
    for (name, units) in lots {
        let lot = match name {
            None => None,
            Some(code) => match piles.by_code(*code) {
                Some(lot) => Some(lot),
                None => return Outcome::Refused,
            },
        };
        if lot.is_some_and(|lot| !piles.is_good(lot, kind, *reason, is_brought_in)) {
            return Outcome::Refused;
        }
        lines.push((Some(0), LOTTED, lot, *units));
    }
    if *plain > 0 {
        lines.push((None, PLAIN, None, *plain));
    }
    let (mut whole, mut single, mut moved) = (Vec::new(), Vec::new(), false);
    for (in_lots, variant, lot, units) in lines {
        if is_brought_in {
            let lot = in_lots.and(lot);
            piles.shift(lot, None, to(None), units);
            moved = true;
            continue;
        }
        // An order's units are taken reservation by reservation, others lot by lot.
        let candidates: Vec<(Option<usize>, Where)> = match (in_lots, lot) {
            (None, _) => from.iter().map(|place| (None, *place)).collect(),
            (_, Some(lot)) => from.iter().map(|place| (Some(lot), *place)).collect(),
            _ => {
                // Of what is out of use nothing is chosen, but for what is an order's.
                let by_place = |place: &Where| {
                    let (lots, is_chosen) = match place {
                        Where::At(_, _, Some(by)) => (before.reserved[*by].lots.clone(), false),
                        _ => (before.in_order(), true),
                    };
                    let may_be = |lot: &usize| before.lots[*lot].active || !is_chosen;
                    let lots = lots.into_iter().filter(may_be);
                    let lots = lots.filter(|lot| before.is_good(*lot, kind, *reason, false));
                    lots.map(|lot| (Some(lot), *place)).collect::<Vec<_>>()
                };
                from.iter().flat_map(by_place).collect()
            }
        };
        let there: i64 = candidates
            .iter()
            .map(|(lot, place)| before.of(*lot, *place))
            .sum();
        if there < units && !partial {
            // What is missing over all lots is known before what is missing of one.
            let of_all = in_lots.is_some()
                && lot.is_none()
                && !matches!(kind, Kind::Release | Kind::Pick | Kind::Pack | Kind::Ship);
            let number = lot.map_or(variant, |lot| VariantNo(u32::MAX - lot as u32));
            if of_all { &mut whole } else { &mut single }.push((number, units, there));
            continue;
        }
        let mut left = units.min(there);
        for (lot, place) in candidates {
            let units = before.of(lot, place).min(left);
            if units > 0 {
                piles.shift(lot, Some(place), to(Some(place)), units);
                left -= units;
                moved = true;
                if kind == Kind::Reservation {
                    piles.reserved[reservation].lots.extend(lot);
                }
            }
        }
    }
    whole.extend(single);
    if !whole.is_empty() {
        return Outcome::Short(whole);
    }
    if moved {
        Outcome::Done(piles)
    } else {
        Outcome::Short(Vec::new())
    }
}

const START: i64 = 1_750_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros((START + second) * 1_000_000)
}

struct Beside {
    journal: Journal,
    piles: Piles,
    /// Positions of what was sent.
    sent: Vec<Position>,
}

impl Beside {
    fn new() -> Beside {
        let mut journal = Journal::new();
        let create = [
            C::CreateWarehouse {
                negative_stock: None,
                code: "N".into(),
                name: "N".into(),
            },
            C::CreateWarehouse {
                negative_stock: None,
                code: "S".into(),
                name: "S".into(),
            },
            variant("LOTTED", true),
            variant("PLAIN", false),
        ];
        for command in create {
            journal
                .take(&Command::Catalogue(command), at(0))
                .expect("it is new");
        }
        Beside {
            journal,
            piles: Piles::default(),
            sent: Vec::new(),
        }
    }

    /// Lets time do what it does. Whether a lot is out of use when the ledger comes to record what ran out is a matter of
    /// when that is: where it matters it is done at once.
    fn pass_time(&mut self, is_recorded: bool) {
        let before = self.piles.clone();
        self.piles.pass_time();
        self.piles.set_aside(&before, None);
        if is_recorded || self.piles.is_any_out_of_use() {
            let all = Command::ExpireDue {
                reservations_max: usize::MAX,
            };
            self.journal
                .take(&all, at(self.piles.now))
                .expect("what ran out is recorded");
        }
    }

    fn take(&mut self, ask: &Ask) {
        self.pass_time(matches!(ask, Ask::Change { .. }));
        let before = self.piles.clone();
        match ask {
            Ask::Wait(seconds) => self.piles.now += seconds,
            Ask::Move { .. } => self.take_move(ask),
            Ask::Send { from, lots } => self.take_send(*from, lots),
            Ask::Receive { which, lot, units } => self.take_receive(*which, *lot, *units),
            Ask::Change {
                lot,
                expires_in,
                active,
            } => self.take_change(*lot, *expires_in, *active),
            Ask::Recall { lot, is_over } => self.take_recall(*lot, *is_over),
        }
        let gives_back = matches!(
            ask,
            Ask::Change {
                active: Some(true),
                ..
            }
        );
        if !matches!(ask, Ask::Recall { .. }) && !gives_back {
            let kind = match ask {
                Ask::Move { kind, .. } => Some(*kind),
                _ => None,
            };
            self.piles.set_aside(&before, kind);
        }
        self.pass_time(false);
        self.compare();
    }

    fn number(&self, lot: usize) -> VariantNo {
        let found = self.journal.state.lot_by_code(LOTTED, self.piles.lots[lot].code);
        found.expect("both know the lot")
    }

    fn take_move(&mut self, ask: &Ask) {
        let Ask::Move {
            kind,
            warehouse,
            lots,
            plain,
            order,
            partial,
            reason,
            expires_in,
            less,
        } = ask
        else {
            unreachable!("it is a movement")
        };
        let (kind, partial) = (*kind, *partial && *kind == Kind::Reservation);
        let less = *less && kind == Kind::Adjust;
        let reason = reason.filter(|reason| match kind {
            Kind::Adjust => less,
            Kind::Outbound => *reason != Reason::Return,
            _ => false,
        });
        let mut lines = lines(lots, *plain);
        if less {
            lines.iter_mut().for_each(|line| line.quantity = -line.quantity);
        }
        let mut command = StockCommand::new(kind, WarehouseNo(*warehouse), lines);
        command.lots = named(lots);
        command.order = kind.needs_order().then(|| format!("O-{order}").into());
        command.is_partial = partial;
        command.reason = reason;
        let expires_in = expires_in.filter(|_| kind == Kind::Reservation);
        command.expires_at = expires_in.map(|seconds| at(self.piles.now + seconds));
        let ask = Ask::Move {
            kind,
            warehouse: *warehouse,
            lots: lots.clone(),
            plain: *plain,
            order: *order,
            partial,
            reason,
            expires_in,
            less,
        };
        let outcome = take(&self.piles, &ask);
        let decided = self.journal.take(&Command::Stock(command), at(self.piles.now));
        match (decided, outcome) {
            (Ok(_), Outcome::Done(piles)) => self.piles = piles,
            (Err(Rejection::Insufficient { shortages }), Outcome::Short(short)) => {
                let number = |no: VariantNo| {
                    let lot = (u32::MAX - no.0) as usize;
                    if lot < self.piles.lots.len() {
                        self.number(lot)
                    } else {
                        no
                    }
                };
                if !partial {
                    let short: Vec<_> = short
                        .into_iter()
                        .map(|(no, units, there)| (number(no), units, there))
                        .collect();
                    let told: Vec<_> = shortages
                        .iter()
                        .map(|s| (s.variant, s.requested, s.available))
                        .collect();
                    assert_eq!(told, short);
                }
            }
            (Err(refused), Outcome::Refused) => {
                assert!(!matches!(refused, Rejection::Insufficient { .. }), "{refused:?}")
            }
            (decided, outcome) => panic!(
                "the ledger says {decided:?}, and the model {}",
                match outcome {
                    Outcome::Done(_) => "does it".to_string(),
                    Outcome::Short(short) => format!("is short of {short:?}"),
                    Outcome::Refused => "refuses".to_string(),
                }
            ),
        }
    }

    fn take_send(&mut self, from: u32, lots: &[(Option<usize>, i64)]) {
        let mut command = StockCommand::new(Kind::TransferOut, WarehouseNo(from), lines(lots, 0));
        command.lots = named(lots);
        command.counterpart = Some(WarehouseNo(3 - from));
        let Ok(decision) = self.journal.take(&Command::Stock(command), at(self.piles.now)) else {
            return;
        };
        // That it takes the right lots was seen of holds; here it is followed where they go.
        let opened = decision
            .iter()
            .position(|event| matches!(event, Event::Stock(one) if one.kind == Kind::TransferOut));
        let opened = opened.expect("it was sent");
        let after = (decision.len() - opened) as u64;
        self.sent.push(Position(self.journal.state.head().0 - after + 1));
        let journey = self.piles.sent.len();
        self.piles.sent.push(3 - from);
        let Event::Stock(event) = &decision[opened] else {
            unreachable!()
        };
        for posting in &event.postings {
            let lot = self.lot_of(posting.variant);
            let available = Where::At(from, Bucket::Available, None);
            self.piles.shift(
                Some(lot),
                Some(available),
                Some(Where::OnTheWay(journey)),
                posting.quantity,
            );
        }
    }

    fn lot_of(&self, no: VariantNo) -> usize {
        let is_it = |lot: &usize| self.number(*lot) == no;
        (0..self.piles.lots.len()).find(is_it).expect("both know the lot")
    }

    fn take_receive(&mut self, which: usize, code: Option<usize>, units: [i64; 3]) {
        let Some((journey, &transfer)) = self.sent.iter().enumerate().nth(which) else {
            return;
        };
        let destination = self.piles.sent[journey];
        let [received, damaged, short] = units;
        let command = ReceiveCommand {
            version: None,
            transfer,
            warehouse: WarehouseNo(destination),
            occurred_at: None,
            lines: vec![ReceivedLine {
                variant: LOTTED,
                received,
                damaged,
                short,
            }],
            lots: code
                .iter()
                .map(|code| LineLot {
                    line: 0,
                    code: CODES[*code].into(),
                    expires_at: None,
                })
                .collect(),
            notes: None,
        };
        let decided = self.journal.take(&Command::Receive(command), at(self.piles.now));
        let mut lots: Vec<_> = match code {
            Some(code) => self.piles.by_code(code).into_iter().collect(),
            None => (0..self.piles.lots.len()).collect(),
        };
        let way = Where::OnTheWay(journey);
        lots.sort_by_key(|lot| self.number(*lot));
        let there: i64 = lots.iter().map(|lot| self.piles.of(Some(*lot), way)).sum();
        let wanted = received + damaged + short;
        assert_eq!(
            decided.is_ok(),
            wanted > 0 && wanted <= there,
            "{there} {decided:?}"
        );
        if decided.is_err() {
            return;
        }
        let (mut left, mut room) = (
            units,
            lots.iter()
                .map(|lot| self.piles.of(Some(*lot), way))
                .collect::<Vec<_>>(),
        );
        for (at, lot) in lots.iter().enumerate() {
            let places = [Some(Bucket::Available), Some(Bucket::Held), None];
            for (left, bucket) in left.iter_mut().zip(places) {
                let units = room[at].min(*left);
                *left -= units;
                room[at] -= units;
                if let Some(bucket) = bucket {
                    let place = Where::At(destination, bucket, None);
                    self.piles.shift(Some(*lot), Some(way), Some(place), units);
                }
            }
        }
    }

    fn take_change(&mut self, code: usize, expires_in: Option<Option<i64>>, active: Option<bool>) {
        let Some(lot) = self.piles.by_code(code) else {
            return;
        };
        let expires_at = expires_in.map(|seconds| seconds.map(|seconds| self.piles.now + seconds));
        let change = C::ChangeLot {
            no: self.number(lot),
            expires_at: expires_at.map(|second| second.map(at)),
            active,
        };
        let changed = self.journal.take(&Command::Catalogue(change), at(self.piles.now));
        changed.expect("a lot can be changed");
        if active == Some(true) {
            self.give_back(lot);
        }
        let lot = &mut self.piles.lots[lot];
        lot.expires_at = expires_at.unwrap_or(lot.expires_at);
        lot.active = active.unwrap_or(lot.active);
        self.forget_what_is_in_use();
    }

    /// Of what is in use nothing is set aside.
    fn forget_what_is_in_use(&mut self) {
        let lots = &self.piles.lots;
        self.piles.aside.retain(|(lot, _), _| !lots[*lot].active);
    }

    fn take_recall(&mut self, code: usize, is_over: bool) {
        let Some(lot) = self.piles.by_code(code) else {
            return;
        };
        let command = Command::Recall(RecallCommand {
            lot: self.number(lot),
            is_over,
            notes: None,
        });
        let now = at(self.piles.now);
        self.journal.take(&command, now).expect("a lot can be recalled");
        self.piles.lots[lot].active = is_over;
        if is_over {
            self.give_back(lot);
        }
        for warehouse in (1..3).filter(|_| !is_over) {
            let place = |bucket| Where::At(warehouse, bucket, None);
            let (available, held) = (place(Bucket::Available), place(Bucket::Held));
            let units = self.piles.of(Some(lot), available);
            *self.piles.aside.entry((lot, warehouse)).or_default() += units;
            self.piles.shift(Some(lot), Some(available), Some(held), units);
        }
        self.forget_what_is_in_use();
    }

    /// What was set aside of a lot is available again, however it was asked for that the lot be used again.
    fn give_back(&mut self, lot: usize) {
        for warehouse in 1..3 {
            let [available, held] =
                [Bucket::Available, Bucket::Held].map(|bucket| Where::At(warehouse, bucket, None));
            let aside = self.piles.aside.remove(&(lot, warehouse)).unwrap_or_default();
            self.piles.shift(Some(lot), Some(held), Some(available), aside);
        }
    }

    /// The same units in the same places.
    fn compare(&self) {
        let state = &self.journal.state;
        let now = at(self.piles.now);
        for warehouse in 1..3 {
            let lots = (0..self.piles.lots.len()).map(Some).chain([None]);
            for lot in lots {
                let no = lot.map_or(PLAIN, |lot| self.number(lot));
                let held = state.buckets(WarehouseNo(warehouse), no);
                let free = state.available_at(WarehouseNo(warehouse), no, now);
                let run_out = free - held.available();
                for bucket in Bucket::ALL {
                    let is_here = |place: &Where| matches!(place, Where::At(at, of, _) if (*at, *of) == (warehouse, bucket));
                    let piles = self.piles.units.iter();
                    let piled: i64 = piles
                        .filter(|((of, place), _)| *of == lot && is_here(place))
                        .map(|(_, units)| units)
                        .sum();
                    let told = match bucket {
                        Bucket::Available => free,
                        Bucket::Reserved => held.of(bucket) - run_out,
                        _ => held.of(bucket),
                    };
                    assert_eq!(told, piled, "{bucket} of {lot:?} at {warehouse}");
                }
            }
        }
        let bytes = snapshot::encode(state);
        let read = snapshot::decode(&bytes).expect("a snapshot can be read");
        assert_eq!(snapshot::encode(&read), bytes);
        for warehouse in [WarehouseNo(1), WarehouseNo(2)] {
            let order = |state: &bincard_ledger::State| state.lots_at(warehouse, LOTTED).collect::<Vec<_>>();
            assert_eq!(order(&read), order(state), "the order of taking survives");
        }
    }
}

fn variant(sku: &str, tracks_lots: bool) -> C {
    C::CreateVariant {
        sku: sku.into(),
        name: sku.into(),
        product: None,
        expires_at: None,
        tracks_lots,
    }
}

fn lines(lots: &[(Option<usize>, i64)], plain: i64) -> Vec<Line> {
    let lots = lots.iter().map(|(_, quantity)| (LOTTED, *quantity));
    let all = lots.chain((plain > 0).then_some((PLAIN, plain)));
    all.map(|(variant, quantity)| Line { variant, quantity })
        .collect()
}

fn named(lots: &[(Option<usize>, i64)]) -> Vec<LineLot> {
    let named = |(line, (code, _)): (usize, &(Option<usize>, i64))| {
        let code = CODES[(*code)?].into();
        Some(LineLot {
            line,
            code,
            expires_at: None,
        })
    };
    lots.iter().enumerate().filter_map(named).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn lots_are_where_a_model_of_piles_has_them(asks in prop::collection::vec(ask(), 1..60)) {
        let mut beside = Beside::new();
        for ask in &asks {
            beside.take(ask);
        }
    }
}
