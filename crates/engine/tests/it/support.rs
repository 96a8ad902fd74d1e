//! A ledger with a warehouse and variants, and requests for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bincard_engine::{Clock, Engine, Ledger, Options, Receipt, Refusal};
use bincard_ledger::command::KeySpace;
use bincard_ledger::{
    CatalogueCommand, Command, IdempotencyKey, Kind, Line, Request, State, StockCommand, Timestamp,
    VariantNo, WarehouseNo,
};
use uuid::Uuid;

pub(crate) const WAREHOUSE: WarehouseNo = WarehouseNo(1);
pub(crate) const VARIANT: VariantNo = VariantNo(1);
pub(crate) const AUTHOR: Uuid = Uuid::from_u128(7);

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub(crate) fn at(micros: i64) -> HandClock {
        HandClock(Arc::new(AtomicI64::new(micros)))
    }

    pub(crate) fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let micros = self.0.clone();
        Arc::new(move || Timestamp::from_micros(micros.load(Ordering::SeqCst)))
    }
}

pub(crate) fn options() -> Options {
    Options {
        segment_bytes: 1 << 20,
        ..Options::default()
    }
}

pub(crate) fn open(folder: &Path) -> Engine {
    Engine::open(folder, options()).expect("the ledger opens")
}

pub(crate) fn request(command: impl Into<Wanted>) -> Request {
    Request {
        command: command.into().0,
        author: AUTHOR,
        on_behalf_of: None,
        key: None,
    }
}

pub(crate) fn keyed(command: impl Into<Wanted>, key: &str) -> Request {
    let key = IdempotencyKey::parse(KeySpace::Caller, key).expect("a valid key");
    Request {
        key: Some(key),
        ..request(command)
    }
}

pub(crate) struct Wanted(Command);

impl From<StockCommand> for Wanted {
    fn from(command: StockCommand) -> Wanted {
        Wanted(Command::Stock(command))
    }
}

impl From<Command> for Wanted {
    fn from(command: Command) -> Wanted {
        Wanted(command)
    }
}

impl From<CatalogueCommand> for Wanted {
    fn from(command: CatalogueCommand) -> Wanted {
        Wanted(Command::Catalogue(command))
    }
}

pub(crate) fn moves(kind: Kind, quantity: i64) -> StockCommand {
    StockCommand::new(
        kind,
        WAREHOUSE,
        [Line {
            variant: VARIANT,
            quantity,
        }],
    )
}

pub(crate) fn submit(ledger: &Ledger, request: Request) -> Result<Receipt, Refusal> {
    let mut outcomes = ledger.submit_batch_blocking(vec![request]);
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

/// Makes warehouse 1 and variants 1 to `variants`.
pub(crate) fn furnish(ledger: &Ledger, variants: u32) {
    let warehouse = CatalogueCommand::CreateWarehouse {
        code: "WH-1".into(),
        name: "One".into(),
        negative_stock: None,
    };
    submit(ledger, request(warehouse)).expect("a warehouse");
    let variant = |no: u32| CatalogueCommand::CreateVariant {
        tracks_lots: false,
        sku: format!("SKU-{no}").into(),
        name: format!("Variant {no}").into(),
        product: None,
        expires_at: None,
    };
    let requests = (1..=variants).map(|no| request(variant(no))).collect();
    for outcome in ledger.submit_batch_blocking(requests) {
        outcome.expect("a variant");
    }
}

/// The state that a replay of the whole log gives.
pub(crate) fn replayed(ledger: &Ledger) -> State {
    let mut state = State::new(ledger.reader().ledger());
    bincard_engine::replay(ledger.reader(), &mut state, |_| {}).expect("the log replays");
    state
}

pub(crate) fn on_hand(ledger: &Ledger) -> i64 {
    replayed(ledger).buckets(WAREHOUSE, VARIANT).on_hand()
}
