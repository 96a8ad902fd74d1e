//! A ledger to test on: every event is decided, applied and written to a log on the disk.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bincard_ledger::codec::Body;
use bincard_ledger::event::{PickOrder, SlotChange};
use bincard_ledger::{
    Bucket, CatalogueCommand, CloseCommand, Command, CountCommand, CountStep, Event, ExtendCommand,
    FoundLine, Kind, LedgerId, Line, LineLot, NegativeStock, Position, ProductNo, Reason, ReceiveCommand,
    ReceivedLine, Record, Recorded, ReverseCommand, State, StockCommand, Timestamp, VariantNo, WarehouseNo,
    decide,
};
use bincard_projections::postgres::Database;
use bincard_projections::{Place, Projector, Verified, ViewName, Views, verify};
use bincard_store::Reader;
use bincard_store::disk::RealDisk;
use bincard_store::segment::{Appender, Log, Options};
use bincard_testkit::postgres::Postgres;
use bincard_testkit::wire::Wire;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// 2025-03-01T10:00:00Z.
pub(crate) const START: i64 = 1_740_823_200_000_000;
pub(crate) const WAREHOUSES: u32 = 3;
pub(crate) const VARIANTS: u32 = 5;

/// Numbers that follow from a seed.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Where a test keeps its views.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    InFiles,
    InPostgres,
}

impl Kept {
    pub(crate) const BOTH: [Kept; 2] = [Kept::InFiles, Kept::InPostgres];
}

/// The tests' own PostgreSQL, which ends with this process.
fn postgres() -> &'static Postgres {
    static POSTGRES: OnceLock<Postgres> = OnceLock::new();
    POSTGRES.get_or_init(|| {
        let server = Postgres::start().unwrap();
        let database = Database::new(&server.socket_url("postgres")).unwrap();
        database.migrate().unwrap();
        server
    })
}

/// The address of the tests' own PostgreSQL.
pub(crate) fn postgres_url() -> String {
    postgres().socket_url("postgres")
}

/// A way to the tests' PostgreSQL that breaks where a test says, and the address that leads there.
pub(crate) fn wire() -> (Wire, String) {
    Wire::to(&postgres().tcp_url("postgres")).unwrap()
}

/// A place in the tests' PostgreSQL, as one node has it that compares in a folder.
pub(crate) fn in_postgres(feeds: bool, scratch: PathBuf) -> Place {
    reached_by(&postgres_url(), feeds, scratch)
}

/// The same, reached by an address.
pub(crate) fn reached_by(url: &str, feeds: bool, scratch: PathBuf) -> Place {
    let database = Database::new(url).unwrap();
    Place::Postgres {
        database,
        feeds,
        scratch,
    }
}

/// A connection to the tables of the first generation of a view in PostgreSQL.
pub(crate) async fn first_schema(ledger: &Ledger, view: ViewName) -> PgConnection {
    let mut connection = PgConnection::connect(&postgres_url()).await.unwrap();
    let no: i64 = sqlx::query_scalar("select no from bincard_views.ledgers where id = $1")
        .bind(Uuid::from_bytes(ledger.reader.ledger().0))
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let path = format!("set search_path to bincard_view_{no}_{view}_1");
    connection.execute(AssertSqlSafe(path)).await.unwrap();
    connection
}

pub(crate) struct Ledger {
    pub(crate) folder: TempDir,
    pub(crate) reader: Reader,
    pub(crate) events: Vec<Recorded>,
    pub(crate) now: Timestamp,
    pub(crate) state: State,
    pub(crate) place: Place,
    appender: Appender,
    body: Body,
}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        let folder = tempfile::tempdir().unwrap();
        // Many ledgers have views in one PostgreSQL.
        static NEXT: AtomicU64 = AtomicU64::new(5);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = LedgerId(u128::from(next).to_be_bytes());
        let options = Options {
            segment_bytes: 1 << 20,
            ledger: Some(id),
            ..Options::default()
        };
        let opened = Log::open(Arc::new(RealDisk), &folder.path().join("log"), options).unwrap();
        let now = Timestamp::from_micros(START);
        Ledger {
            place: Place::Folder(folder.path().join("views")),
            folder,
            reader: opened.reader.into(),
            events: Vec::new(),
            now,
            state: State::new(id),
            appender: opened.appender,
            body: Body::new(now),
        }
    }

    /// A ledger with warehouses, products and variants.
    pub(crate) fn with_catalogue() -> Ledger {
        let mut ledger = Ledger::new();
        for no in 1..=WAREHOUSES {
            let (code, name) = (format!("WH-{no}").into(), format!("Lager {no}").into());
            assert!(ledger.run(&Command::Catalogue(CatalogueCommand::CreateWarehouse {
                code,
                name,
                negative_stock: (no == WAREHOUSES).then_some(NegativeStock::Record),
            })));
        }
        assert!(ledger.run(&Command::Catalogue(CatalogueCommand::CreateProduct {
            name: "Schraube".into()
        })));
        for no in 1..=VARIANTS {
            let (sku, name) = (format!("SKU-{no}").into(), format!("Größe {no}").into());
            let product = no.is_multiple_of(2).then_some(ProductNo(1));
            let create = CatalogueCommand::CreateVariant {
                tracks_lots: false,
                sku,
                name,
                product,
                expires_at: None,
            };
            assert!(ledger.run(&Command::Catalogue(create)));
        }
        ledger.commit();
        ledger
    }

    pub(crate) fn views_path(&self) -> PathBuf {
        self.folder.path().join("views")
    }

    /// The same ledger, with its views kept elsewhere.
    pub(crate) fn kept(mut self, kept: Kept) -> Ledger {
        self.place = match kept {
            Kept::InFiles => Place::Folder(self.views_path()),
            Kept::InPostgres => in_postgres(true, self.views_path()),
        };
        self
    }

    pub(crate) fn project(&self) -> Projector {
        Projector::open(self.place.clone(), self.reader.clone()).unwrap()
    }

    /// Holds every row of some views against the log.
    pub(crate) async fn verify(&self, views: &[ViewName]) -> Vec<Verified> {
        verify(self.place.clone(), &self.reader, views, |_| {})
            .await
            .unwrap()
    }

    pub(crate) fn head(&self) -> Position {
        self.reader.head().position
    }

    /// Waits until all views have caught up.
    pub(crate) async fn settled(&self, projector: &Projector) -> Views {
        let views = projector.views().clone();
        views
            .wait_for(&ViewName::ALL, self.head(), Duration::from_secs(60))
            .await
            .unwrap();
        views
    }

    /// Decides a command and records what follows; `false` when it is rejected.
    pub(crate) fn run(&mut self, command: &Command) -> bool {
        let Ok(decision) = decide(&self.state, command, self.now) else {
            return false;
        };
        for event in decision {
            let version = self.state.next_version(event.stream());
            let record = Record {
                version,
                author: Uuid::from_u128(9),
                on_behalf_of: None,
                key: None,
                event,
            };
            self.body.push(&record);
            let position = self.state.head().next();
            let recorded = Recorded {
                position,
                recorded_at: self.body.recorded_at(),
                record,
            };
            self.state.apply(&recorded).unwrap();
            self.events.push(recorded);
        }
        true
    }

    /// Makes what was recorded durable, and lets a little time pass.
    pub(crate) fn commit(&mut self) {
        self.appender.commit(&self.body).unwrap();
        self.pass(1);
    }

    /// Lets time pass; nothing may be waiting for its commit.
    pub(crate) fn pass(&mut self, micros: i64) {
        self.now = self.now.saturating_add_micros(micros);
        self.body.clear(self.now);
    }

    /// A receipt, so that there is something to move.
    pub(crate) fn receive(&mut self, warehouse: u32, variant: u32, quantity: i64) {
        let line = Line {
            variant: VariantNo(variant),
            quantity,
        };
        let command = StockCommand::new(Kind::Inbound, WarehouseNo(warehouse), [line]);
        assert!(self.run(&Command::Stock(command)));
    }

    /// Any stock command, likely to be accepted.
    pub(crate) fn random_command(&self, random: &mut Random) -> Command {
        match random.below(80) {
            0 | 1 => return self.random_change(random),
            2..14 => {
                if let Some(command) = self.random_of_reservation(random) {
                    return command;
                }
            }
            14..18 => return self.random_reversal(random),
            18..26 => {
                if let Some(command) = self.random_of_transfer(random) {
                    return command;
                }
            }
            _ => {}
        }
        let kinds = [
            Kind::Inbound,
            Kind::Inbound,
            Kind::Inbound,
            Kind::Outbound,
            Kind::Adjust,
            Kind::Reservation,
            Kind::Reservation,
            Kind::Release,
            Kind::Pick,
            Kind::Pack,
            Kind::Ship,
            Kind::TransferOut,
            Kind::TransferOut,
            Kind::TransferOut,
            Kind::TransferIn,
            Kind::Hold,
            Kind::Unhold,
        ];
        let kind = random.pick(&kinds);
        let warehouse = WarehouseNo(random.below(u64::from(WAREHOUSES)) as u32 + 1);
        let first = random.below(u64::from(VARIANTS)) as u32;
        let lines: Vec<Line> = (0..=random.below(2) as u32)
            .map(|next| {
                let most = if kind == Kind::Inbound { 60 } else { 12 };
                let quantity = random.below(most) as i64 + 1;
                let sign = if kind == Kind::Adjust && random.below(2) == 0 {
                    -1
                } else {
                    1
                };
                Line {
                    variant: VariantNo((first + next) % VARIANTS + 1),
                    quantity: quantity * sign,
                }
            })
            .collect();
        let mut command = StockCommand::new(kind, warehouse, lines);
        if random.below(3) > 0 {
            // From four days ago to four minutes ahead, or a year earlier.
            let minutes = random.below(4 * 24 * 60) as i64;
            let year = i64::from(minutes % 8 == 3) * 365 * 24 * HOUR;
            let offset = minutes * MINUTE + year;
            command.occurred_at = Some(self.now.saturating_add_micros(4 * MINUTE - offset));
        }
        command.reason = match (kind, random.below(3)) {
            (Kind::Inbound, 1) => Some(Reason::Purchase),
            (Kind::Outbound, 1) => Some(Reason::Sale),
            (_, 2) => Some(Reason::Other),
            _ => None,
        };
        if kind.needs_order() {
            command.order = Some(format!("order {}", random.below(6)).into());
        }
        if kind.needs_transfer() {
            command.transfer = Some(format!("transfer {}", random.below(3)).into());
        }
        if kind == Kind::TransferOut && random.below(3) > 0 {
            command.counterpart = Some(WarehouseNo(random.below(u64::from(WAREHOUSES)) as u32 + 1));
            command.transfer = command.transfer.filter(|_| random.below(2) == 0);
        }
        if kind == Kind::Reservation && random.below(2) == 0 {
            command.expires_at = Some(
                self.now
                    .saturating_add_micros((random.below(300) as i64 + 1) * MINUTE),
            );
        }
        command.is_partial = kind == Kind::Reservation && random.below(3) == 0;
        if kind == Kind::Release {
            command.release_from = random.pick(&[None, Some(Bucket::Picked), Some(Bucket::Packed)]);
        }
        Command::Stock(command)
    }

    /// What happens to one of the reservations that there are: it is extended to later, earlier or for good, or moved.
    fn random_of_reservation(&self, random: &mut Random) -> Option<Command> {
        let orders = (0..6).map(|no| Box::<str>::from(format!("order {no}")));
        let open: Vec<_> = orders
            .flat_map(|order| {
                let all = self.state.reservations(&order).iter();
                let all = all.map(|one| (order.clone(), one.id, one.warehouse));
                all.collect::<Vec<_>>()
            })
            .collect();
        if open.is_empty() {
            return None;
        }
        let (order, reservation, warehouse) = open[random.below(open.len() as u64) as usize].clone();
        let kind = match random.below(8) {
            0 => Kind::Release,
            1 => Kind::Pick,
            2 => Kind::Pack,
            3 => Kind::Ship,
            _ => {
                let lasts = (random.below(200) as i64 + 1) * MINUTE;
                let expires_at = (random.below(4) > 0).then(|| self.now.saturating_add_micros(lasts));
                return Some(Command::Extend(ExtendCommand {
                    version: None,
                    warehouse,
                    order,
                    reservation,
                    expires_at,
                    notes: None,
                }));
            }
        };
        Some(Command::Stock(StockCommand {
            order: Some(order),
            reservation: Some(reservation),
            ..StockCommand::new(kind, warehouse, [])
        }))
    }

    /// What happens to one of the transfers that are on the way: it is received, wholly or in part, or closed.
    fn random_of_transfer(&self, random: &mut Random) -> Option<Command> {
        let open: Vec<_> = self.state.transfers().collect();
        if open.is_empty() {
            return None;
        }
        let (transfer, found) = open[random.below(open.len() as u64) as usize];
        if random.below(6) == 0 {
            return Some(Command::Close(CloseCommand {
                version: None,
                transfer,
                reason: Reason::Other,
                notes: None,
            }));
        }
        let lines = found.lines.iter().map(|line| ReceivedLine {
            variant: line.variant,
            received: random.below(line.units as u64 + 1) as i64,
            damaged: random.below(2) as i64,
            short: random.below(3) as i64,
        });
        let lines: Vec<_> = lines.filter(|line| line.received > 0 || line.short > 0).collect();
        Some(Command::Receive(ReceiveCommand {
            version: None,
            lots: Vec::new(),
            transfer,
            warehouse: found.destination,
            occurred_at: None,
            lines: if random.below(5) == 0 { Vec::new() } else { lines },
            notes: None,
        }))
    }

    fn random_reversal(&self, random: &mut Random) -> Command {
        let events = self.events.iter();
        let moved: Vec<_> = events
            .filter_map(|recorded| match &recorded.record.event {
                Event::Stock(event) => Some((recorded, event)),
                Event::Catalogue(_) => None,
            })
            .collect();
        if moved.is_empty() {
            return self.random_change(random);
        }
        let (recorded, event) = moved[random.below(moved.len() as u64) as usize];
        Command::Reverse(Box::new(ReverseCommand {
            version: None,
            position: recorded.position,
            recorded_at: recorded.recorded_at,
            event: event.clone(),
            asked_as: "".into(),
            notes: None,
        }))
    }

    fn random_change(&self, random: &mut Random) -> Command {
        let variant = VariantNo(random.below(u64::from(VARIANTS)) as u32 + 1);
        let n = random.below(1_000_000);
        Command::Catalogue(match random.below(8) {
            0 => CatalogueCommand::CreateVariant {
                tracks_lots: false,
                sku: format!("NEW_{n}").into(),
                name: format!("100% neu {n}").into(),
                product: None,
                expires_at: Some(self.now),
            },
            1 => CatalogueCommand::ChangeVariant {
                tracks_lots: None,
                no: variant,
                sku: Some(format!("ÄNDER-{n}").into()),
                name: None,
                product: Some(None),
                expires_at: Some(Some(self.now.saturating_add_micros(1_000 * HOUR))),
                active: None,
            },
            2 => CatalogueCommand::ChangeWarehouse {
                no: WarehouseNo(1),
                code: Some(format!("CODE{n}").into()),
                name: Some(format!("Halle {n}").into()),
                active: None,
                negative_stock: None,
            },
            3 => CatalogueCommand::ChangeProduct {
                no: ProductNo(1),
                name: Some(format!("P{n}").into()),
                active: Some(n.is_multiple_of(2)),
            },
            4 => CatalogueCommand::CreateProduct {
                name: format!("Produkt {n}").into(),
            },
            5 | 6 => CatalogueCommand::ChangeSlot {
                warehouse: WarehouseNo(random.below(u64::from(WAREHOUSES)) as u32 + 1),
                variant,
                change: random_slot(random),
            },
            _ => CatalogueCommand::ChangeVariant {
                tracks_lots: None,
                no: VariantNo(VARIANTS),
                sku: None,
                name: Some(format!("anders {n}").into()),
                product: None,
                expires_at: None,
                active: Some(true),
            },
        })
    }

    /// Runs random commands in commits of random size, `events` events or a few more.
    pub(crate) fn grow(&mut self, random: &mut Random, events: usize) {
        let until = self.events.len() + events;
        while self.events.len() < until {
            for _ in 0..=random.below(12) {
                let command = self.random_command(random);
                self.run(&command);
            }
            self.commit();
            self.pass(random.below(40) as i64 * MINUTE);
        }
    }
}

impl Ledger {
    /// The variant whose stock lies in lots, once [`Ledger::grow_lots`] has made it.
    pub(crate) fn lotted(&self) -> VariantNo {
        self.state.variant_by_sku("MILCH").unwrap()
    }

    /// Runs random commands about a variant in lots. The first call makes it.
    pub(crate) fn grow_lots(&mut self, random: &mut Random, commands: usize) {
        if self.state.variant_by_sku("MILCH").is_none() {
            let create = CatalogueCommand::CreateVariant {
                tracks_lots: true,
                sku: "MILCH".into(),
                name: "Milch".into(),
                product: None,
                expires_at: None,
            };
            assert!(self.run(&Command::Catalogue(create)));
            self.commit();
        }
        for _ in 0..commands {
            let command = self.random_of_lots(random);
            self.run(&command);
            if random.below(3) == 0 {
                self.commit();
                self.pass(random.below(40) as i64 * MINUTE);
            }
        }
        self.commit();
    }

    fn random_of_lots(&self, random: &mut Random) -> Command {
        let code = random.pick(&["2026-07", "2026-08", "2026-09", "2026-10"]);
        if random.below(8) == 0 {
            let change = CatalogueCommand::ChangeLot {
                no: self.state.lot_by_code(self.lotted(), code).unwrap_or_default(),
                expires_at: Some((random.below(2) == 0).then(|| self.now.saturating_add_micros(5 * HOUR))),
                active: Some(random.below(3) > 0),
            };
            return Command::Catalogue(change);
        }
        let kind = random.pick(&[
            Kind::Inbound,
            Kind::Inbound,
            Kind::Outbound,
            Kind::Reservation,
            Kind::Reservation,
            Kind::Pick,
            Kind::Pack,
            Kind::Ship,
            Kind::Release,
            Kind::Hold,
            Kind::Unhold,
        ]);
        let warehouse = WarehouseNo(1 + random.below(u64::from(WAREHOUSES)) as u32);
        let quantity = 1 + random.below(9) as i64;
        let line = Line {
            variant: self.lotted(),
            quantity,
        };
        let mut command = StockCommand::new(kind, warehouse, [line]);
        if kind == Kind::Inbound || random.below(4) == 0 {
            command.lots.push(LineLot {
                line: 0,
                code: code.into(),
                expires_at: None,
            });
        }
        if kind.needs_order() {
            command.order = Some(format!("L-{}", random.below(3)).into());
        }
        if kind == Kind::Reservation && random.below(2) == 0 {
            command.expires_at = Some(self.now.saturating_add_micros(1 + random.below(3) as i64 * HOUR));
        }
        Command::Stock(command)
    }
}

impl Ledger {
    /// Runs random commands about counts, and others between them.
    pub(crate) fn grow_counts(&mut self, random: &mut Random, commands: usize) {
        for _ in 0..commands {
            let command = match random.below(2) {
                0 => self.random_command(random),
                _ => self.random_of_counts(random),
            };
            self.run(&command);
            if random.below(3) == 0 {
                self.commit();
                self.pass(random.below(40) as i64 * MINUTE);
            }
        }
        self.commit();
    }

    fn random_of_counts(&self, random: &mut Random) -> Command {
        let some = |random: &mut Random| {
            let all = (1..=VARIANTS).map(VariantNo);
            all.filter(|_| random.below(2) == 0).collect::<Vec<_>>()
        };
        let open: Vec<_> = self.state.counts().collect();
        let (warehouse, step) = if open.is_empty() || random.below(5) == 0 {
            let warehouse = WarehouseNo(random.below(u64::from(WAREHOUSES)) as u32 + 1);
            let is_blind = random.below(2) == 0;
            let variants = (random.below(3) > 0).then(|| some(random));
            (warehouse, CountStep::Open { is_blind, variants })
        } else {
            let (count, found) = random.pick(&open);
            let step = match random.below(16) {
                0 => CountStep::Cancel { count },
                1 | 2 => CountStep::Approve { count },
                _ => {
                    let variants = some(random).into_iter().filter(|no| found.includes(*no));
                    let lines = variants.map(|variant| {
                        let on_hand = self.state.buckets(found.warehouse, variant).on_hand().max(0);
                        let (more, less) = (random.below(3) as i64, random.below(3) as i64);
                        let since = self.now.micros() - found.opened_at.micros();
                        let ago = random.below(since as u64 + 1) as i64;
                        FoundLine {
                            variant,
                            counted: (on_hand + more - less).max(0),
                            at: (random.below(2) == 0).then(|| self.now.saturating_add_micros(-ago)),
                        }
                    });
                    let lines = lines.collect();
                    CountStep::Submit { count, lines }
                }
            };
            (found.warehouse, step)
        };
        Command::Count(Box::new(CountCommand {
            version: None,
            warehouse,
            step,
            notes: None,
        }))
    }
}

fn random_slot(random: &mut Random) -> SlotChange {
    let n = random.below(30);
    let mut some = |odds: u64| random.below(odds) == 0;
    SlotChange {
        bin: some(2).then(|| (!some(4)).then(|| format!("A-{n}").into())),
        reorder_point: some(2).then(|| (!some(4)).then_some(n as i64)),
        max_level: some(3).then(|| (!some(4)).then_some(100)),
        pick_order: some(3).then(|| {
            (!some(3)).then(|| PickOrder {
                // So low that it is often one that would be counted to.
                number: n as i64 % 6 + 1,
                reason: some(2).then(|| "näher".into()),
            })
        }),
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
