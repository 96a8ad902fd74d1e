//! What a client asks for while the disk fails, one request after the other: stock in and out, early and late, lots, orders,
//! holds, counts, recalls, and what undoes them. And what of it must be so in any log, wherever it was cut off.

use std::collections::{BTreeMap, HashMap};

use bincard_engine::{Ledger, Receipt};
use bincard_ledger::{
    Bucket, CatalogueCommand, CatalogueEvent, Command, CountCommand, CountStep, Event, FoundLine,
    IdempotencyKey, Kind, Line, LineLot, Position, RecallCommand, Recorded, Request, ReverseCommand, State,
    StockCommand, StockEvent, Timestamp, VariantNo,
};

use crate::support::{VARIANT, WAREHOUSE, keyed, moves, replayed, request, submit};

/// The variant whose stock lies in lots.
pub(crate) const IN_LOTS: VariantNo = VariantNo(2);
/// The lot that all clients share: the first goods in lots make the client's own lot, and then this one.
const SHARED: VariantNo = VariantNo(4);
/// The acts, each of which must have been recorded by the end.
pub(crate) const ACTS: [&str; 17] = [
    "inbound",
    "outbound",
    "lots-in",
    "lots-out",
    "reserve",
    "pick",
    "pack",
    "ship",
    "hold",
    "unhold",
    "late",
    "open",
    "submit",
    "approve",
    "reverse",
    "recall",
    "use-again",
];

/// Makes the variant whose stock lies in lots, behind the warehouse and the first variant.
pub(crate) fn furnish_lots(ledger: &Ledger) {
    let variant = CatalogueCommand::CreateVariant {
        tracks_lots: true,
        sku: "IN-LOTS".into(),
        name: "In lots".into(),
        product: None,
        expires_at: None,
    };
    submit(ledger, request(variant)).expect("a variant");
}

/// One client's requests. What it began it carries on as long as each step is recorded.
pub(crate) struct Script {
    name: String,
    turn: i64,
    /// Its count, and how far that is.
    count: Option<(Position, bool)>,
    /// How far its order is.
    order: Option<(i64, Kind)>,
    /// What it may undo.
    inbound: Option<Receipt>,
    /// Whether the shared lot is out of use, if this client is the one who says so.
    is_recalled: Option<bool>,
}

impl Script {
    /// Beside others, with the shared lot out of use or not.
    pub(crate) fn new(round: u64, client: i64, is_recalled: bool) -> Script {
        Script {
            name: format!("{round}/{client}"),
            turn: client * 5,
            count: None,
            order: None,
            inbound: None,
            is_recalled: (client == 0).then_some(is_recalled),
        }
    }

    /// The next act, and the request under its key.
    pub(crate) fn next(&mut self, ledger: &Ledger) -> (&'static str, Request) {
        self.turn += 1;
        let key = format!("{}/{}", self.name, self.turn);
        let (act, command) = match self.turn % 17 {
            0 | 5 | 10 => ("inbound", moves(Kind::Inbound, 4)),
            1 | 6 => ("outbound", moves(Kind::Outbound, 3)),
            2 => ("lots-in", self.lots_in()),
            3 => ("lots-out", in_lots(Kind::Outbound, 2)),
            4 => ("hold", moves(Kind::Hold, 1)),
            7 => ("unhold", moves(Kind::Unhold, 1)),
            8 => {
                let occurred_at = Some(Timestamp::from_micros(1));
                let outbound = moves(Kind::Outbound, 1);
                (
                    "late",
                    StockCommand {
                        occurred_at,
                        ..outbound
                    },
                )
            }
            9 | 12 => self.order_step(),
            11 => match self.undo(ledger) {
                Some(request) => return ("reverse", request),
                None => ("inbound", moves(Kind::Inbound, 4)),
            },
            15 => return self.recall(&key),
            _ => return self.count_step(&key),
        };
        (act, keyed(command, &key))
    }

    /// Notes what became of the last request.
    pub(crate) fn answered(&mut self, act: &'static str, receipt: Option<&Receipt>) {
        match (act, receipt) {
            ("inbound", Some(receipt)) => self.inbound = Some(*receipt),
            ("reverse", _) => self.inbound = None,
            ("open", Some(receipt)) => self.count = Some((receipt.position, false)),
            ("submit", Some(_)) => self.count = self.count.map(|(id, _)| (id, true)),
            ("approve" | "submit", _) => self.count = None,
            ("reserve", Some(_)) => self.order = Some((self.turn, Kind::Reservation)),
            ("pick" | "pack", Some(_)) => {}
            ("pick" | "pack" | "ship", _) => self.order = None,
            ("recall", Some(_)) => self.is_recalled = Some(true),
            ("use-again", Some(_)) => self.is_recalled = Some(false),
            _ => {}
        }
    }

    /// Some of one lot of its own, and some of one that all clients share, which expires sooner.
    fn lots_in(&self) -> StockCommand {
        let lot = |line, code: &str, expires_at| LineLot {
            line,
            code: code.into(),
            expires_at: Some(Timestamp::from_micros(expires_at)),
        };
        let own = format!("LOT {}", self.name);
        let line = |quantity| Line {
            variant: IN_LOTS,
            quantity,
        };
        StockCommand {
            lots: vec![lot(0, &own, 9_000_000), lot(1, "SHARED", 8_000_000)],
            ..StockCommand::new(Kind::Inbound, WAREHOUSE, [line(2), line(1)])
        }
    }

    /// An order reserves two units in lots, which are picked, packed and shipped.
    fn order_step(&mut self) -> (&'static str, StockCommand) {
        let (act, next) = match self.order {
            None => ("reserve", Kind::Reservation),
            Some((_, Kind::Reservation)) => ("pick", Kind::Pick),
            Some((_, Kind::Pick)) => ("pack", Kind::Pack),
            Some(_) => ("ship", Kind::Ship),
        };
        let id = self.order.map_or(self.turn, |(id, _)| id);
        if self.order.is_some() {
            self.order = Some((id, next));
        }
        let order = Some(format!("{}/{id}", self.name).into());
        let step = in_lots(next, 2);
        (act, StockCommand { order, ..step })
    }

    fn count_step(&self, key: &str) -> (&'static str, Request) {
        let lines = vec![FoundLine {
            variant: VARIANT,
            counted: self.turn % 7,
            at: None,
        }];
        let (act, step) = match self.count {
            None => {
                let (is_blind, variants) = (false, Some(vec![VARIANT]));
                ("open", CountStep::Open { is_blind, variants })
            }
            Some((count, false)) => ("submit", CountStep::Submit { count, lines }),
            Some((count, true)) => ("approve", CountStep::Approve { count }),
        };
        let command = Command::Count(Box::new(CountCommand {
            version: None,
            warehouse: WAREHOUSE,
            step,
            notes: None,
        }));
        (act, keyed(command, key))
    }

    /// The shared lot is taken out of use, or used again.
    fn recall(&self, key: &str) -> (&'static str, Request) {
        let Some(is_recalled) = self.is_recalled else {
            return ("lots-in", keyed(self.lots_in(), key));
        };
        let act = if is_recalled { "use-again" } else { "recall" };
        let command = Command::Recall(RecallCommand {
            lot: SHARED,
            is_over: is_recalled,
            notes: None,
        });
        (act, keyed(command, key))
    }

    /// Undoes what came in, if it did and the disk can still be read.
    fn undo(&self, ledger: &Ledger) -> Option<Request> {
        let before = Position(self.inbound?.position.0 - 1);
        let events = ledger.reader().read(before, 1).ok()?;
        let undone = &events[0];
        let command = Command::Reverse(Box::new(ReverseCommand {
            position: undone.position,
            event: stock(undone).expect("a stock event").clone(),
            recorded_at: undone.recorded_at,
            asked_as: "the script".into(),
            version: None,
            notes: None,
        }));
        Some(Request {
            key: Some(IdempotencyKey::of_reversal(undone.position)),
            ..request(command)
        })
    }
}

fn in_lots(kind: Kind, quantity: i64) -> StockCommand {
    let variant = IN_LOTS;
    StockCommand::new(kind, WAREHOUSE, [Line { variant, quantity }])
}

fn stock(recorded: &Recorded) -> Option<&StockEvent> {
    match &recorded.record.event {
        Event::Stock(event) => Some(event),
        Event::Catalogue(_) => None,
    }
}

/// By how much a request is to change what is on hand, by variant, but for what a count had seen; `None` of a count, which
/// does not say.
fn asked(request: &Request) -> Option<BTreeMap<VariantNo, i64>> {
    let mut changes = BTreeMap::new();
    match &request.command {
        Command::Stock(command) => {
            let sign = match command.kind {
                Kind::Inbound => 1,
                Kind::Outbound | Kind::Ship => -1,
                _ => 0,
            };
            for line in &command.lines {
                *changes.entry(line.variant).or_default() += sign * line.quantity;
            }
        }
        Command::Reverse(command) => {
            for posting in command.event.own_postings() {
                *changes.entry(posting.variant).or_default() -= posting.change_on_hand();
            }
        }
        _ => return None,
    }
    changes.retain(|_, change| *change != 0);
    Some(changes)
}

/// Checks a log against what was asked for, and the state against the log: whole decisions only, each of which changed what
/// it was to change; nothing below zero; and of what lies in lots all of it.
pub(crate) fn check_log(ledger: &Ledger, sent: &HashMap<String, Request>, seed: u64) {
    let state = replayed(ledger);
    let log = ledger.reader().read(Position(0), usize::MAX);
    let log = log.expect("the log reads");
    let mut on_hand: BTreeMap<VariantNo, i64> = BTreeMap::new();
    let mut is_half = false;
    for recorded in &log {
        let key = recorded.record.key.as_ref().map(|key| &*key.key.text);
        let event = match &recorded.record.event {
            Event::Catalogue(change) => {
                is_half = key.is_none() && (is_half || is_first_half(change));
                continue;
            }
            Event::Stock(event) => event,
        };
        // What becomes available of a recalled lot is held behind the decision that brought it.
        let is_behind = key.is_none() && event.kind == Kind::Hold && !is_half;
        is_half = key.is_none() && !is_behind;
        let mut own: BTreeMap<VariantNo, i64> = BTreeMap::new();
        for posting in event.own_postings() {
            let of = state.variant_of(posting.variant);
            *own.entry(of).or_default() += posting.change_on_hand();
        }
        own.retain(|_, change| *change != 0);
        if let Some(asked) = key.and_then(|key| asked(&sent[key])) {
            assert_eq!(own, asked, "seed {seed}: {event:?}");
        }
        for posting in &event.postings {
            *on_hand.entry(posting.variant).or_default() += posting.change_on_hand();
        }
    }
    assert!(!is_half, "seed {seed}: half a decision ends the log");
    let mut found: BTreeMap<VariantNo, i64> = BTreeMap::new();
    for (_, variant, buckets) in state.stock() {
        let below = Bucket::ALL.iter().any(|bucket| buckets.of(*bucket) < 0);
        assert!(!below, "seed {seed}: {buckets:?} of {variant:?}");
        *found.entry(variant).or_default() += buckets.on_hand();
    }
    for sums in [&mut found, &mut on_hand] {
        sums.retain(|_, units| *units != 0);
    }
    assert_eq!(found, on_hand, "seed {seed}");
    assert!(!found.contains_key(&IN_LOTS), "seed {seed}: stock in no lot");
    if is_recalled(&state) {
        let left = state.buckets(WAREHOUSE, SHARED).of(Bucket::Available);
        assert_eq!(left, 0, "seed {seed}: available of a recalled lot");
    }
    assert!(
        state.lots_at(WAREHOUSE, IN_LOTS).eq(lots_of(&state, &found)),
        "seed {seed}: lots"
    );
}

/// Whether more must follow: a lot comes to be with its first goods, and is out of use with what there is of it held.
fn is_first_half(change: &CatalogueEvent) -> bool {
    matches!(
        change,
        CatalogueEvent::LotCreated { .. } | CatalogueEvent::VariantDeactivated(_)
    )
}

/// Whether the lot that all clients share is out of use.
pub(crate) fn is_recalled(state: &State) -> bool {
    state.variant(SHARED).is_some_and(|lot| !lot.active)
}

/// The lots that have anything, in the order of taking.
fn lots_of<'a>(
    state: &'a State,
    found: &'a BTreeMap<VariantNo, i64>,
) -> impl Iterator<Item = VariantNo> + 'a {
    let lots = found.keys().filter(|no| state.variant_of(**no) == IN_LOTS);
    let mut lots: Vec<_> = lots.copied().collect();
    lots.sort_by_key(|no| (state.variant(*no).and_then(|lot| lot.expires_at), *no));
    lots.into_iter()
}
