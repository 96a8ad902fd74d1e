//! The tables of every view, as verification compares them: key, values, and which events concern a row.

use bincard_ledger::{CatalogueEvent, Counting, Event, Kind, Position, Recorded, StockEvent, VariantNo};

use crate::fold::{Lots, day_of};
use crate::history::{BLOCK_POSITIONS, reason_column};
use crate::name::ViewName;

/// Whether an event concerns the row with a key, where these are the lots so far.
pub(crate) type Touches = fn(&[i64], &Recorded, &Lots) -> bool;

/// A table to compare.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The columns of the primary key, in its order.
    pub(crate) key: &'static [&'static str],
    /// All other columns.
    pub(crate) values: &'static [&'static str],
    /// The condition that picks the rows that a reconciliation looks at one by one; its shadow says which they are.
    pub(crate) wanted: &'static str,
    /// Whether an event concerns the row with a key; `None` where rows do not come from events.
    pub(crate) touches: Option<Touches>,
}

impl Table {
    /// All columns, those of the key first.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        self.key.iter().chain(self.values).copied().collect()
    }

    /// Where in the values the last event that wrote the row stands, if anywhere.
    pub(crate) fn changed(&self) -> Option<usize> {
        self.values.iter().position(|column| *column == "changed")
    }
}

const KEYS_WANTED: &str = "(variant, warehouse) in (select variant, warehouse from shadow.wanted_keys)";
const POSITIONS_WANTED: &str = "position / 16384 in (select no from shadow.wanted_blocks)";
// The conditions above name the length of a block.
const _: () = assert!(BLOCK_POSITIONS == 16_384);

/// What SQLite says of the tables and indexes that there are.
pub(crate) static SCHEMA: Table = Table {
    name: "sqlite_master",
    key: &["type", "name"],
    values: &["tbl_name", "sql"],
    wanted: "true",
    touches: None,
};

/// Where a view stands; every view has it.
pub(crate) static CHECKPOINT: Table = Table {
    name: "checkpoint",
    key: &["id"],
    values: &["schema_version", "position"],
    wanted: "true",
    touches: None,
};

/// The tables of a view.
pub(crate) fn of(view: ViewName) -> &'static [Table] {
    match view {
        ViewName::Stock => STOCK,
        ViewName::History => HISTORY,
        ViewName::Catalogue => CATALOGUE,
        ViewName::Reservations => RESERVATIONS,
        ViewName::Exceptions => EXCEPTIONS,
        ViewName::Transfers => TRANSFERS,
        ViewName::Counts => COUNTS,
    }
}

pub(crate) static STOCK: &[Table] = &[
    Table {
        name: "stock",
        key: &["warehouse", "variant"],
        values: &["available", "reserved", "picked", "packed", "held", "changed"],
        wanted: KEYS_WANTED,
        touches: Some(|key, event, lots| {
            is_stock(event, |stock| is_at(stock, key[0]) && moves(stock, key[1], lots))
        }),
    },
    Table {
        name: "expiring",
        key: &["warehouse", "variant", "expires_at", "reservation"],
        values: &["quantity"],
        // A reservation has a row at an instant from the event on that said that it runs out then.
        wanted: KEYS_WANTED,
        touches: Some(|key, event, lots| {
            let reserves =
                |stock: &StockEvent| event.position.0.cast_signed() == key[3] && moves(stock, key[1], lots);
            let extends = |stock: &StockEvent| {
                stock.kind == Kind::Extend
                    && stock.about.is_some_and(|id| id.0.cast_signed() == key[3])
                    && notes(stock, key[1], lots)
            };
            is_stock(event, |stock| {
                is_at(stock, key[0])
                    && stock.expires_at.is_some_and(|at| at.micros() == key[2])
                    && (reserves(stock) || extends(stock))
            })
        }),
    },
    Table {
        name: "versions",
        key: &["warehouse"],
        values: &["version"],
        wanted: "exists (select 1 from shadow.wanted_blocks)",
        touches: Some(|key, event, _| is_stock(event, |stock| is_at(stock, key[0]))),
    },
    Table {
        name: "lots",
        key: &["lot"],
        values: &["variant"],
        wanted: "exists (select 1 from shadow.wanted_blocks)",
        touches: Some(|key, event, _| catalogue_no(event).2 == Some(key[0])),
    },
];

pub(crate) static HISTORY: &[Table] = &[
    Table {
        name: "events",
        key: &["position"],
        values: &["occurred_at", "recorded_at", "warehouse", "kind", "reason"],
        wanted: POSITIONS_WANTED,
        touches: Some(|key, event, _| event.position.0.cast_signed() == key[0]),
    },
    Table {
        name: "event_days",
        key: &["slot", "warehouse", "kind", "reason"],
        values: &["events"],
        wanted: "slot in (select no from shadow.wanted_days)",
        touches: Some(|key, event, _| {
            is_stock(event, |stock| {
                day_of(stock.occurred_at.micros()) == key[0] && is_of(stock, &key[1..])
            })
        }),
    },
    Table {
        name: "event_blocks",
        key: &["slot", "warehouse", "kind", "reason"],
        values: &["events"],
        wanted: "slot in (select no from shadow.wanted_blocks)",
        touches: Some(|key, event, _| {
            event.position.0.cast_signed() / BLOCK_POSITIONS == key[0]
                && is_stock(event, |stock| is_of(stock, &key[1..]))
        }),
    },
    Table {
        name: "recorded",
        key: &["recorded_at", "position"],
        values: &[],
        wanted: POSITIONS_WANTED,
        touches: Some(|key, event, _| event.position.0.cast_signed() == key[1]),
    },
    Table {
        name: "movements",
        key: &["variant", "occurred_at", "position", "line"],
        values: &[
            "warehouse",
            "kind",
            "reason",
            "places",
            "quantity",
            "available",
            "reserved",
            "picked",
            "packed",
            "held",
        ],
        wanted: KEYS_WANTED,
        touches: Some(|key, event, _| event.position.0.cast_signed() == key[2]),
    },
    Table {
        name: "stock_days",
        key: &["variant", "warehouse", "day"],
        values: &["available", "reserved", "picked", "packed", "held", "events"],
        wanted: KEYS_WANTED,
        touches: Some(|key, event, lots| {
            is_stock(event, |stock| {
                is_at(stock, key[1])
                    && moves(stock, key[0], lots)
                    && day_of(stock.occurred_at.micros()) == key[2]
            })
        }),
    },
    Table {
        name: "stock_spans",
        key: &["variant", "warehouse", "days", "no"],
        values: &["available", "reserved", "picked", "packed", "held"],
        wanted: KEYS_WANTED,
        touches: Some(|key, event, lots| {
            is_stock(event, |stock| {
                is_at(stock, key[1])
                    && moves(stock, key[0], lots)
                    && key[2] > 0
                    && day_of(stock.occurred_at.micros()).div_euclid(key[2]) == key[3]
            })
        }),
    },
    Table {
        name: "keys",
        key: &["variant", "warehouse"],
        values: &[
            "available",
            "reserved",
            "picked",
            "packed",
            "held",
            "unmarked",
            "occurred_min",
            "occurred_max",
            "span",
            "span_available",
            "span_reserved",
            "span_picked",
            "span_packed",
            "span_held",
        ],
        wanted: KEYS_WANTED,
        touches: Some(|key, event, lots| {
            is_stock(event, |stock| is_at(stock, key[1]) && moves(stock, key[0], lots))
        }),
    },
    Table {
        name: "marks",
        key: &["variant", "warehouse", "position"],
        values: &[
            "occurred_min",
            "occurred_max",
            "available",
            "reserved",
            "picked",
            "packed",
            "held",
        ],
        wanted: KEYS_WANTED,
        touches: Some(|key, event, _| event.position.0.cast_signed() == key[2]),
    },
    Table {
        name: "lots",
        key: &["lot"],
        values: &["variant"],
        wanted: "exists (select 1 from shadow.wanted_blocks)",
        touches: Some(|key, event, _| catalogue_no(event).2 == Some(key[0])),
    },
];

static CATALOGUE: &[Table] = &[
    Table {
        name: "warehouses",
        key: &["no"],
        values: &[
            "code",
            "name",
            "code_folded",
            "name_folded",
            "active",
            "negative_stock",
            "created",
            "created_at",
            "changed",
            "changed_at",
        ],
        wanted: "true",
        touches: Some(|key, event, _| catalogue_no(event).0 == Some(key[0])),
    },
    Table {
        name: "products",
        key: &["no"],
        values: &[
            "name",
            "name_folded",
            "active",
            "created",
            "created_at",
            "changed",
            "changed_at",
        ],
        wanted: "true",
        touches: Some(|key, event, _| catalogue_no(event).1 == Some(key[0])),
    },
    Table {
        name: "variants",
        key: &["no"],
        values: &[
            "sku",
            "name",
            "sku_folded",
            "name_folded",
            "product",
            "expires_at",
            "tracks_lots",
            "active",
            "created",
            "created_at",
            "changed",
            "changed_at",
        ],
        wanted: "true",
        touches: Some(|key, event, _| catalogue_no(event).2 == Some(key[0])),
    },
    Table {
        name: "slots",
        key: &["warehouse", "variant"],
        values: &[
            "bin",
            "reorder_point",
            "max_level",
            "pick_order",
            "pick_reason",
            "changed",
            "changed_at",
        ],
        wanted: "true",
        touches: Some(|key, event, lots| {
            is_stock(event, |stock| is_at(stock, key[0]) && moves(stock, key[1], lots))
                || slot_of(event) == Some([key[0], key[1]])
        }),
    },
    Table {
        name: "lots",
        key: &["no"],
        values: &[
            "variant",
            "code",
            "code_folded",
            "expires_at",
            "active",
            "created",
            "created_at",
            "changed",
            "changed_at",
        ],
        wanted: "true",
        touches: Some(|key, event, _| catalogue_no(event).2 == Some(key[0])),
    },
];

pub(crate) static RESERVATIONS: &[Table] = &[
    Table {
        name: "reservations",
        key: &["id"],
        values: &["order_id", "warehouse", "expires_at", "state", "held", "shipped"],
        wanted: "id / 16384 in (select no from shadow.wanted_blocks)",
        touches: Some(|key, event, _| is_stock(event, |stock| is_of_reservation(event, stock, key[0]))),
    },
    Table {
        name: "reservation_lines",
        key: &["reservation", "variant"],
        values: &[
            "requested",
            "reserved",
            "picked",
            "packed",
            "shipped",
            "released",
            "expired",
        ],
        wanted: "reservation / 16384 in (select no from shadow.wanted_blocks)",
        touches: Some(|key, event, lots| {
            is_stock(event, |stock| {
                is_of_reservation(event, stock, key[0])
                    && (moves(stock, key[1], lots) || notes(stock, key[1], lots))
            })
        }),
    },
];

static EXCEPTIONS: &[Table] = &[
    Table {
        name: "exceptions",
        key: &["id"],
        values: &["type", "warehouse", "cleared"],
        wanted: "true",
        touches: Some(|key, event, _| is_stock(event, |stock| is_of_exception(event, stock, key[0]))),
    },
    Table {
        name: "exception_lines",
        key: &["exception", "line"],
        values: &["variant", "units", "reservation"],
        wanted: "true",
        touches: Some(|key, event, _| event.position.0.cast_signed() == key[0]),
    },
];

/// Whether an event made an exception or clears it.
fn is_of_exception(event: &Recorded, stock: &StockEvent, id: i64) -> bool {
    let is_it = |position: Position| position.0.cast_signed() == id;
    is_it(event.position) || stock.kind == Kind::ExceptionCleared && stock.about.is_some_and(is_it)
}

static TRANSFERS: &[Table] = &[
    Table {
        name: "transfers",
        key: &["id"],
        values: &["name", "source", "destination", "state", "ended_at"],
        wanted: "true",
        touches: Some(|key, event, _| is_stock(event, |stock| is_of_transfer(event, stock, key[0]))),
    },
    Table {
        name: "transfer_lines",
        key: &["transfer", "variant"],
        values: &["sent", "received", "damaged", "short", "written_off"],
        wanted: "true",
        touches: Some(|key, event, lots| {
            is_stock(event, |stock| {
                is_of_transfer(event, stock, key[0])
                    && (moves(stock, key[1], lots) || notes(stock, key[1], lots))
            })
        }),
    },
    Table {
        name: "transfer_events",
        key: &["transfer", "position"],
        values: &[],
        wanted: "true",
        touches: Some(|key, event, _| event.position.0.cast_signed() == key[1]),
    },
];

/// Whether an event opened a transfer, or is a later one of it.
fn is_of_transfer(event: &Recorded, stock: &StockEvent, id: i64) -> bool {
    let is_it = |position: Position| position.0.cast_signed() == id;
    match stock.kind {
        Kind::TransferOut => is_it(event.position),
        Kind::TransferExpected | Kind::TransferIn | Kind::TransferClosed => stock.about.is_some_and(is_it),
        _ => false,
    }
}

static COUNTS: &[Table] = &[
    Table {
        name: "counts",
        key: &["id"],
        values: &["warehouse", "state", "ended"],
        wanted: "true",
        touches: Some(|key, event, _| is_stock(event, |stock| is_of_count(event, stock, key[0]))),
    },
    Table {
        name: "count_variants",
        key: &["variant", "count"],
        values: &[],
        wanted: "true",
        touches: Some(|key, event, _| event.position.0.cast_signed() == key[1]),
    },
    Table {
        name: "count_submissions",
        key: &["count", "variant", "position"],
        values: &["counted", "counted_at", "expected"],
        wanted: "true",
        touches: Some(|key, event, _| event.position.0.cast_signed() == key[2]),
    },
    Table {
        name: "count_approved",
        key: &["count", "variant"],
        values: &["expected"],
        wanted: "true",
        touches: Some(|key, event, _| {
            is_stock(event, |stock| {
                stock.kind == Kind::CountApproved
                    && is_of_count(event, stock, key[0])
                    && counts_variant(stock, key[1])
            })
        }),
    },
];

/// Whether an event opened a count, or ended it.
fn is_of_count(event: &Recorded, stock: &StockEvent, id: i64) -> bool {
    let is_it = |position: Position| position.0.cast_signed() == id;
    match stock.kind {
        Kind::CountOpened => is_it(event.position),
        Kind::CountApproved | Kind::CountCancelled => stock.about.is_some_and(is_it),
        _ => false,
    }
}

fn counts_variant(stock: &StockEvent, variant: i64) -> bool {
    match stock.count.as_deref() {
        Some(Counting::Lines(lines)) => lines.iter().any(|line| i64::from(line.variant.0) == variant),
        _ => false,
    }
}

/// Whether an event made a reservation, or takes from what it holds, or extends it.
fn is_of_reservation(event: &Recorded, stock: &StockEvent, id: i64) -> bool {
    let is_it = |position: Position| position.0.cast_signed() == id;
    stock.kind == Kind::Reservation && is_it(event.position)
        || stock.kind == Kind::Extend && stock.about.is_some_and(is_it)
        || stock
            .postings
            .iter()
            .any(|posting| posting.reservation.is_some_and(is_it))
}

fn is_stock(event: &Recorded, test: impl FnOnce(&StockEvent) -> bool) -> bool {
    matches!(&event.record.event, Event::Stock(stock) if test(stock))
}

fn is_at(stock: &StockEvent, warehouse: i64) -> bool {
    i64::from(stock.warehouse.0) == warehouse
}

fn moves(stock: &StockEvent, variant: i64, lots: &Lots) -> bool {
    let mut moved = stock.postings.iter().map(|posting| posting.variant);
    moved.any(|no| is_of_variant(no, variant, lots))
}

fn notes(stock: &StockEvent, variant: i64, lots: &Lots) -> bool {
    stock
        .noted
        .iter()
        .any(|(no, _)| is_of_variant(*no, variant, lots))
}

/// Whether a number is the variant's or lot's, or a lot's of the variant.
fn is_of_variant(no: VariantNo, variant: i64, lots: &Lots) -> bool {
    i64::from(no.0) == variant || i64::from(lots.variant_of(no).0) == variant
}

/// Whether an event is of the warehouse, kind and reason in `key`.
fn is_of(stock: &StockEvent, key: &[i64]) -> bool {
    key == [
        i64::from(stock.warehouse.0),
        i64::from(stock.kind.code()),
        reason_column(stock.reason),
    ]
}

/// The warehouse, product or variant that an event of the catalogue is about.
fn catalogue_no(event: &Recorded) -> (Option<i64>, Option<i64>, Option<i64>) {
    use bincard_ledger::CatalogueEvent as E;
    let Event::Catalogue(event) = &event.record.event else {
        return (None, None, None);
    };
    match event {
        E::WarehouseCreated { no, .. }
        | E::WarehouseChanged { no, .. }
        | E::WarehousePolicyChanged { no, .. }
        | E::WarehouseActivated(no)
        | E::WarehouseDeactivated(no) => (Some(i64::from(no.0)), None, None),
        E::ProductCreated { no, .. }
        | E::ProductChanged { no, .. }
        | E::ProductActivated(no)
        | E::ProductDeactivated(no) => (None, Some(i64::from(no.0)), None),
        E::VariantCreated { no, .. }
        | E::VariantChanged { no, .. }
        | E::LotCreated { no, .. }
        | E::LotChanged { no, .. }
        | E::VariantActivated(no)
        | E::VariantDeactivated(no) => (None, None, Some(i64::from(no.0))),
        E::SlotChanged { .. } => (None, None, None),
    }
}

/// The warehouse and variant of the slot that an event changes.
fn slot_of(event: &Recorded) -> Option<[i64; 2]> {
    match &event.record.event {
        Event::Catalogue(CatalogueEvent::SlotChanged {
            warehouse, variant, ..
        }) => Some([i64::from(warehouse.0), i64::from(variant.0)]),
        _ => None,
    }
}
