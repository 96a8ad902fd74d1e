//! What is asked of a ledger, likely to be taken and now and then anything whatever.
//!
//! What names earlier events, or what is so, cannot be made up beforehand: it is asked for by numbers that are looked up
//! when its turn comes.

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::event::{PickOrder, SlotChange};
use bincard_ledger::{
    Bucket, ClearCommand, CloseCommand, Command, Conditions, Event, ExtendCommand, Kind, Line, NegativeStock,
    Position, ProductNo, Reason, ReceiveCommand, ReceivedLine, ReverseCommand, StockCommand, StockEvent,
    Timestamp, VariantNo, Version, WarehouseNo,
};
use proptest::collection::vec;
use proptest::option::{self, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::journal::Journal;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const START: i64 = 1_750_000_000_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) seconds: i64,
    pub(crate) asked: Asked,
}

#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// As it stands, but for what must be so.
    Command(Command, Option<Expected>),
    /// Of one reservation.
    OfReservation(StockCommand, Which, Option<Expected>),
    /// To run out so many microseconds from now.
    Extend {
        which: Which,
        lasts_micros: Option<i64>,
        notes: Option<Box<str>>,
    },
    /// Of one of the exceptions that are to be seen to, or of any event so far.
    Clear {
        exception: Index,
        is_open: bool,
        notes: Option<Box<str>>,
    },
    /// Of any event so far, those that nothing undoes included.
    Reverse { event: Index, notes: Option<Box<str>> },
    /// Of a transfer, mostly where it goes.
    Receive {
        which: WhichTransfer,
        warehouse: Option<WarehouseNo>,
        occurred_at: Option<Timestamp>,
        lines: Vec<ReceivedLine>,
        notes: Option<Box<str>>,
    },
    /// Of a transfer.
    Close {
        which: WhichTransfer,
        reason: Reason,
        notes: Option<Box<str>>,
    },
}

/// One of the transfers so far.
#[derive(Clone, Debug)]
pub(crate) struct WhichTransfer {
    index: Index,
    /// Whether it is one that has something on the way, where there is one.
    is_open: bool,
}

/// One of the reservations so far.
#[derive(Clone, Debug)]
pub(crate) struct Which {
    index: Index,
    /// Whether it is one that still holds something, where there is one.
    is_open: bool,
    order: Option<Box<str>>,
    warehouse: Option<WarehouseNo>,
}

/// By how much the version, and what is available of the first lines, is to be another than it is.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    version: Option<i64>,
    available: Vec<i64>,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let expected = || weighted(0.1, expected());
    let asked = prop_oneof![
        14 => (stock_command(), expected()).prop_map(|(command, expected)| Asked::Command(Command::Stock(command), expected)),
        2 => catalogue_command().prop_map(|command| Asked::Command(Command::Catalogue(command), None)),
        1 => (0usize..4).prop_map(|reservations_max| Asked::Command(Command::ExpireDue { reservations_max }, None)),
        5 => (held_command(), which(), expected())
            .prop_map(|(command, which, expected)| Asked::OfReservation(command, which, expected)),
        3 => (which(), lasts(), notes())
            .prop_map(|(which, lasts_micros, notes)| Asked::Extend { which, lasts_micros, notes }),
        3 => (any::<Index>(), notes()).prop_map(|(event, notes)| Asked::Reverse { event, notes }),
        5 => receive(),
        1 => (which_transfer(), select(&Reason::ALL[..]), notes())
            .prop_map(|(which, reason, notes)| Asked::Close { which, reason, notes }),
        2 => (any::<Index>(), weighted(0.8, Just(())), notes())
            .prop_map(|(exception, open, notes)| Asked::Clear { exception, is_open: open.is_some(), notes }),
    ];
    let seconds = prop_oneof![3 => Just(0), 2 => 1..4i64, 1 => 4..30i64];
    (seconds, asked).prop_map(|(seconds, asked)| Step { seconds, asked })
}

impl Asked {
    /// The command, in a ledger as it is now.
    pub(crate) fn command(&self, journal: &Journal, now: Timestamp) -> Command {
        match self {
            Asked::Command(Command::Stock(command), expected) => {
                Command::Stock(conditional(command.clone(), expected.as_ref(), journal, now))
            }
            Asked::Command(command, _) => command.clone(),
            Asked::OfReservation(command, which, expected) => {
                let (reservation, order, warehouse) = which.look_up(journal);
                let command = StockCommand {
                    reservation: Some(reservation),
                    order: Some(order),
                    warehouse,
                    ..command.clone()
                };
                Command::Stock(conditional(command, expected.as_ref(), journal, now))
            }
            Asked::Extend {
                which,
                lasts_micros,
                notes,
            } => {
                let (reservation, order, warehouse) = which.look_up(journal);
                let expires_at = lasts_micros.map(|micros| now.saturating_add_micros(micros));
                let notes = notes.clone();
                Command::Extend(ExtendCommand {
                    version: None,
                    warehouse,
                    order,
                    reservation,
                    expires_at,
                    notes,
                })
            }
            Asked::Clear {
                exception,
                is_open,
                notes,
            } => {
                let open: Vec<_> = journal.state.open_exceptions().collect();
                let any = stock_events(journal).map(|(position, event)| (position, event.warehouse));
                let from = if *is_open && !open.is_empty() {
                    open
                } else {
                    any.collect()
                };
                let (exception, warehouse) = from[exception.index(from.len())];
                Command::Clear(ClearCommand {
                    version: None,
                    warehouse,
                    exception,
                    notes: notes.clone(),
                })
            }
            Asked::Reverse { event, notes } => {
                let all: Vec<_> = stock_events(journal).collect();
                let (position, event) = all[event.index(all.len())];
                let recorded = journal.records.iter().find(|one| one.position == position);
                Command::Reverse(Box::new(ReverseCommand {
                    version: None,
                    position,
                    recorded_at: recorded.unwrap().recorded_at,
                    event: event.clone(),
                    asked_as: "this".into(),
                    notes: notes.clone(),
                }))
            }
            Asked::Receive {
                which,
                warehouse,
                occurred_at,
                lines,
                notes,
            } => {
                let (transfer, destination) = which.look_up(journal);
                Command::Receive(ReceiveCommand {
                    version: None,
                    lots: Vec::new(),
                    transfer,
                    warehouse: warehouse.unwrap_or(destination),
                    occurred_at: *occurred_at,
                    lines: lines.clone(),
                    notes: notes.clone(),
                })
            }
            Asked::Close { which, reason, notes } => Command::Close(CloseCommand {
                version: None,
                transfer: which.look_up(journal).0,
                reason: *reason,
                notes: notes.clone(),
            }),
        }
    }
}

impl Which {
    fn look_up(&self, journal: &Journal) -> (Position, Box<str>, WarehouseNo) {
        let made = stock_events(journal).filter(|(_, event)| event.kind == Kind::Reservation);
        let made: Vec<_> = made
            .map(|(id, event)| (id, event.order.clone().expect("whose it is"), event.warehouse))
            .collect();
        let is_open = |(id, order, _): &&(Position, Box<str>, WarehouseNo)| {
            journal.state.reservations(order).iter().any(|one| one.id == *id)
        };
        let open: Vec<_> = made.iter().filter(is_open).cloned().collect();
        let from = if self.is_open && !open.is_empty() {
            open
        } else {
            made
        };
        let found = (!from.is_empty()).then(|| from[self.index.index(from.len())].clone());
        let (id, order, warehouse) = found.unwrap_or((Position(3), "A".into(), WarehouseNo(1)));
        let order = self.order.clone().unwrap_or(order);
        (id, order, self.warehouse.unwrap_or(warehouse))
    }
}

impl WhichTransfer {
    fn look_up(&self, journal: &Journal) -> (Position, WarehouseNo) {
        let opened = stock_events(journal).filter(|(_, event)| event.kind == Kind::TransferOut);
        let opened: Vec<_> = opened
            .filter_map(|(id, event)| Some((id, event.counterpart?)))
            .collect();
        let is_open = |(id, _): &&(Position, WarehouseNo)| journal.state.transfer(*id).is_some();
        let open: Vec<_> = opened.iter().filter(is_open).copied().collect();
        let from = if self.is_open && !open.is_empty() {
            open
        } else {
            opened
        };
        let found = (!from.is_empty()).then(|| from[self.index.index(from.len())]);
        found.unwrap_or((Position(3), WarehouseNo(1)))
    }
}

fn stock_events(journal: &Journal) -> impl Iterator<Item = (Position, &StockEvent)> {
    let events = journal
        .records
        .iter()
        .map(|one| (one.position, &one.record.event));
    events.filter_map(|(position, event)| match event {
        Event::Stock(event) => Some((position, event)),
        Event::Catalogue(_) => None,
    })
}

fn conditional(
    mut command: StockCommand,
    expected: Option<&Expected>,
    journal: &Journal,
    now: Timestamp,
) -> StockCommand {
    let (state, warehouse) = (&journal.state, command.warehouse);
    command.conditions = expected.map(|expected| {
        let version = state.warehouse(warehouse).map_or(0, |one| one.version.0);
        let available = expected.available.iter().zip(&command.lines);
        let available = available.map(|(off, line)| {
            let available = state.available_at(warehouse, line.variant, now);
            (line.variant, available.wrapping_add(*off))
        });
        Box::new(Conditions {
            version: expected
                .version
                .map(|off| Version(version.wrapping_add_signed(off))),
            available: available.collect(),
        })
    });
    command
}

fn expected() -> impl Strategy<Value = Expected> {
    let off = || prop_oneof![5 => Just(0i64), 1 => -2..3i64];
    (option::of(off()), vec(off(), 0..3)).prop_map(|(version, available)| Expected { version, available })
}

fn which() -> impl Strategy<Value = Which> {
    let order = select(&["A", "B", "C", ""][..]).prop_map(Box::<str>::from);
    let warehouse = (0..=3u32).prop_map(WarehouseNo);
    (
        any::<Index>(),
        prop::bool::weighted(0.8),
        weighted(0.05, order),
        weighted(0.05, warehouse),
    )
        .prop_map(|(index, is_open, order, warehouse)| Which {
            index,
            is_open,
            order,
            warehouse,
        })
}

fn which_transfer() -> impl Strategy<Value = WhichTransfer> {
    (any::<Index>(), prop::bool::weighted(0.9)).prop_map(|(index, is_open)| WhichTransfer { index, is_open })
}

fn receive() -> impl Strategy<Value = Asked> {
    let extremes = [-1, i64::MIN, i64::MAX, 1_000_000_000, 1_000_000_001, 999_999_999];
    let units = prop_oneof![20 => 0..3i64, 10 => Just(0), 1 => select(extremes.to_vec())];
    let variant = prop_oneof![25 => 1..=3u32, 1 => 0..=5u32].prop_map(VariantNo);
    let line =
        (variant, units.clone(), units.clone(), units).prop_map(|(variant, received, damaged, short)| {
            ReceivedLine {
                variant,
                received,
                damaged,
                short,
            }
        });
    let distinct = vec(line.clone(), 1..4).prop_map(|mut lines| {
        lines.sort_by_key(|line| line.variant);
        lines.dedup_by_key(|line| line.variant);
        lines
    });
    let many = select(&[17u32, 1_001][..]).prop_map(|count| {
        let line = |no| ReceivedLine {
            variant: VariantNo(no),
            received: 1,
            damaged: 0,
            short: 0,
        };
        (1..=count).map(line).collect()
    });
    let lines = prop_oneof![20 => Just(Vec::new()), 60 => distinct, 5 => vec(line, 0..5), 1 => many];
    let occurred_at = prop_oneof![
        8 => START - 30 * SECOND..START + 30 * SECOND,
        1 => select(&[START + 400 * SECOND, i64::MIN, i64::MAX][..]),
    ];
    let occurred_at = weighted(0.2, occurred_at.prop_map(Timestamp::from_micros));
    let warehouse = weighted(0.08, (0..=4u32).prop_map(WarehouseNo));
    (which_transfer(), warehouse, occurred_at, lines, notes()).prop_map(
        |(which, warehouse, occurred_at, lines, notes)| Asked::Receive {
            which,
            warehouse,
            occurred_at,
            lines,
            notes,
        },
    )
}

fn lasts() -> impl Strategy<Value = Option<i64>> {
    let lasts = prop_oneof![
        6 => (1..30i64).prop_map(|seconds| seconds * SECOND),
        2 => -3..4i64,
        1 => Just(i64::MAX),
    ];
    weighted(0.8, lasts)
}

fn notes() -> impl Strategy<Value = Option<Box<str>>> {
    let length = select(&[500usize, 501][..]);
    option::weighted(0.05, length).prop_map(|length| length.map(|length| "ü".repeat(length).into()))
}

/// A command that acts on a reservation, which it does not name yet.
fn held_command() -> impl Strategy<Value = StockCommand> {
    let kind = select(&[Kind::Release, Kind::Pick, Kind::Pick, Kind::Pack, Kind::Ship][..]);
    let from = weighted(
        0.3,
        select(&[Bucket::Reserved, Bucket::Picked, Bucket::Packed][..]),
    );
    let lines = prop_oneof![2 => Just(Vec::new()), 3 => lines()];
    (kind, from, lines).prop_map(|(kind, from, lines)| StockCommand {
        release_from: from.filter(|_| kind == Kind::Release),
        ..StockCommand::new(kind, WarehouseNo(1), lines)
    })
}

/// Mostly what could be right; now and then anything.
fn stock_command() -> impl Strategy<Value = StockCommand> {
    let kind = prop_oneof![
        20 => select(&Kind::ALL[..12]),
        12 => select(&[Kind::Reservation, Kind::Reservation, Kind::Outbound, Kind::Pick, Kind::Pack, Kind::Ship][..]),
        4 => Just(Kind::TransferOut),
        1 => select(&[Kind::Expiry, Kind::Extend, Kind::Reversal, Kind::TransferExpected, Kind::TransferClosed][..]),
    ];
    let warehouse = prop_oneof![12 => 1..=2u32, 1 => 0..=4u32];
    let instant = prop_oneof![
        8 => (-30..30i64).prop_map(|seconds| START + seconds * SECOND),
        1 => select(&[START + 400 * SECOND, i64::MIN, i64::MAX, -62_135_596_800_000_001, 253_402_300_800_000_000][..]),
    ];
    let instant = instant.prop_map(Timestamp::from_micros).boxed();
    let text = |right: [&'static str; 3]| {
        let wrong = ["", "line\nbreak", "é", "long"];
        let wrong = select(wrong.to_vec()).prop_map(|text| {
            if text == "long" {
                "x".repeat(129)
            } else {
                text.to_string()
            }
        });
        prop_oneof![30 => select(right.to_vec()).prop_map(String::from), 1 => wrong]
            .prop_map(Box::<str>::from)
            .boxed()
    };
    let refers = (
        weighted(0.97, text(["A", "B", "C"])),
        weighted(0.8, text(["T", "U", "T"])),
        weighted(0.02, text(["T", "U", "V"])),
        weighted(
            0.3,
            select(&[Bucket::Reserved, Bucket::Picked, Bucket::Packed, Bucket::Held][..]),
        ),
        weighted(0.02, select(&Bucket::ALL[..])),
    );
    let rest = (
        weighted(0.3, select(&Reason::ALL[..])),
        weighted(0.2, instant.clone()),
        weighted(0.7, (1..12i64).prop_map(|seconds| seconds * SECOND)),
        weighted(0.02, instant),
        notes(),
        0..30u8,
    );
    let more = (
        weighted(0.01, (0..30u64).prop_map(Position)),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.02),
        weighted(
            0.8,
            prop_oneof![12 => 1..=2u32, 1 => 0..=4u32].prop_map(WarehouseNo),
        ),
        prop::bool::weighted(0.02),
    );
    (kind, warehouse, lines(), refers, rest, more).prop_map(|(kind, warehouse, lines, refers, rest, more)| {
        let (order, transfer, stray_transfer, release_from, stray_release) = refers;
        let (reason, occurred_at, lasts, stray_expiry, notes, when) = rest;
        let (reservation, is_partial, stray_partial, counterpart, stray_counterpart) = more;
        // An expiry counts from the start, so that some have passed and some are near.
        let expires_at = lasts.map(|lasts| Timestamp::from_micros(START + i64::from(when) * SECOND + lasts));
        StockCommand {
            occurred_at,
            reason,
            order,
            counterpart: counterpart.filter(|_| kind == Kind::TransferOut || stray_counterpart),
            transfer: if kind.needs_transfer() {
                transfer
            } else {
                stray_transfer
            },
            expires_at: if kind == Kind::Reservation {
                expires_at
            } else {
                stray_expiry
            },
            release_from: if kind == Kind::Release {
                release_from
            } else {
                stray_release
            },
            reservation,
            is_partial: if kind == Kind::Reservation {
                is_partial
            } else {
                stray_partial
            },
            notes,
            ..StockCommand::new(kind, WarehouseNo(warehouse), lines)
        }
    })
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let extremes = [
        0,
        -1,
        -2,
        1_000_000_000,
        1_000_000_001,
        -1_000_000_000,
        -1_000_000_001,
        i64::MIN,
        i64::MAX,
    ];
    let quantity = prop_oneof![25 => 1..6i64, 3 => -5..0i64, 2 => select(extremes.to_vec())];
    let variant = prop_oneof![25 => 1..=3u32, 1 => 0..=5u32];
    let line = (variant, quantity).prop_map(|(variant, quantity)| Line {
        variant: VariantNo(variant),
        quantity,
    });
    let distinct = vec(line.clone(), 1..4).prop_map(|mut lines| {
        lines.sort_by_key(|line| line.variant);
        lines.dedup_by_key(|line| line.variant);
        lines
    });
    let many = (select(&[17u32, 1_000, 1_001][..]), any::<bool>()).prop_map(|(count, repeats)| {
        let variant = |no| VariantNo(if repeats && no + 1 == count { 1 } else { no + 1 });
        (0..count)
            .map(|no| Line {
                variant: variant(no),
                quantity: 1,
            })
            .collect()
    });
    prop_oneof![60 => distinct, 4 => vec(line, 0..5), 1 => many]
}

fn catalogue_command() -> impl Strategy<Value = C> {
    let text = prop_oneof![
        20 => select(&["NORTH", "SOUTH", "EAST", "A", "B", "C", "D", "é"][..]).prop_map(String::from),
        2 => select(&["", " A", "A ", "a\tb", "a\u{85}b"][..]).prop_map(String::from),
        1 => select(&[64usize, 65, 128, 129, 200, 201][..]).prop_map(|length| "n".repeat(length)),
    ];
    let text = text.prop_map(Box::<str>::from).boxed();
    let (maybe, active) = (option::of(text.clone()), option::of(any::<bool>()));
    let policy = option::of(select(&[NegativeStock::Forbid, NegativeStock::Record][..]));
    let warehouse = (0..=4u32).prop_map(WarehouseNo);
    let product = (0..=3u32).prop_map(ProductNo);
    let variant = (0..=5u32).prop_map(VariantNo);
    let expires_at = prop_oneof![8 => START..START + 60 * SECOND, 1 => any::<i64>()]
        .prop_map(Timestamp::from_micros)
        .boxed();
    let text_of_slot = text.clone();
    prop_oneof![
        1 => (text.clone(), text.clone(), policy.clone())
            .prop_map(|(code, name, negative_stock)| C::CreateWarehouse { code, name, negative_stock }),
        4 => (warehouse, maybe.clone(), maybe.clone(), active.clone(), policy)
            .prop_map(|(no, code, name, active, negative_stock)| {
                C::ChangeWarehouse { no, code, name, active, negative_stock }
            }),
        1 => text.clone().prop_map(|name| C::CreateProduct { name }),
        1 => (product.clone(), maybe.clone(), active.clone())
            .prop_map(|(no, name, active)| C::ChangeProduct { no, name, active }),
        1 => (text.clone(), text, weighted(0.3, product.clone()), weighted(0.3, expires_at.clone()))
            .prop_map(|(sku, name, product, expires_at)| C::CreateVariant { tracks_lots: false, sku, name, product, expires_at }),
        4 => (variant, maybe.clone(), maybe, option::of(option::of(product)), option::of(option::of(expires_at)), active)
            .prop_map(|(no, sku, name, product, expires_at, active)| {
                C::ChangeVariant { tracks_lots: None, no, sku, name, product, expires_at, active }
            }),
        3 => slot_change(text_of_slot),
    ]
}

fn slot_change(text: BoxedStrategy<Box<str>>) -> impl Strategy<Value = C> {
    let number = || {
        let number =
            prop_oneof![9 => -1..5i64, 1 => select(&[1_000_000_000, 1_000_000_001, i64::MIN, i64::MAX][..])];
        option::of(option::of(number))
    };
    let reason = weighted(0.5, text.clone());
    let order = (number(), reason)
        .prop_map(|(number, reason)| number.map(|number| number.map(|number| PickOrder { number, reason })));
    let change = (option::of(option::of(text)), number(), number(), order).prop_map(
        |(bin, reorder_point, max_level, pick_order)| SlotChange {
            bin,
            reorder_point,
            max_level,
            pick_order,
        },
    );
    (0..=4u32, 0..=5u32, change).prop_map(|(warehouse, variant, change)| C::ChangeSlot {
        warehouse: WarehouseNo(warehouse),
        variant: VariantNo(variant),
        change,
    })
}
