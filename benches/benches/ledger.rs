//! How fast the ledger itself is: deciding, applying, encoding and replaying, on one core and without any I/O.
//!
//! Every command is a single-line INBOUND or OUTBOUND with an idempotency key, over keys taken evenly or by Zipf's law
//! (exponent 1). Making the commands is not counted; cloning nothing, taking them apart and dropping them is.
//! `--small` runs everything once at a hundredth of the size, as a check that the benchmark still works.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::command::KeySpace;
use bincard_ledger::event::RecordedKey;
use bincard_ledger::{
    CatalogueCommand, Command, IdempotencyKey, Kind, LedgerId, Line, Record, Recorded, Request, State,
    StockCommand, Timestamp, VariantNo, WarehouseNo, decide, snapshot,
};
use bincard_testkit::process::resident_bytes;
use uuid::Uuid;

const WAREHOUSES: u32 = 10;
/// Commands that are decided before any answer is given, as the engine batches them.
const BATCH: usize = 1_024;
/// Records that a replay decodes before it applies them.
const REPLAY_CHUNK: usize = 16;
const NOW: Timestamp = Timestamp::from_micros(1_750_000_000_000_000);
const LEDGER: LedgerId = LedgerId(*b"benchmark-ledger");

struct Size {
    stock_keys: [u32; 2],
    batches: usize,
    rounds: usize,
}

const FULL: Size = Size {
    stock_keys: [10_000, 1_000_000],
    batches: 300,
    rounds: 5,
};
const SMALL: Size = Size {
    stock_keys: [100, 10_000],
    batches: 3,
    rounds: 1,
};

fn main() -> Result<()> {
    let small = std::env::args().any(|arg| arg == "--small" || arg == "--test");
    let size = if small { SMALL } else { FULL };
    println!(
        "| stock keys | spread | decide + apply | decide + apply + encode | decode + apply | bytes an event |"
    );
    println!("| ---: | --- | ---: | ---: | ---: | ---: |");
    let mut memory = Vec::new();
    for stock_keys in size.stock_keys {
        let resident_before = resident_bytes(std::process::id());
        let stocked = stocked(stock_keys)?;
        let resident = resident_bytes(std::process::id()).zip(resident_before);
        memory.push((
            stock_keys,
            resident.map(|(after, before)| after.saturating_sub(before)),
        ));
        for spread in [Spread::Even, Spread::Zipf] {
            let row = measure(&stocked, stock_keys, spread, &size)?;
            println!(
                "| {stock_keys} | {spread:?} | {} | {} | {} | {:.1} |",
                per_second(row.decided),
                per_second(row.encoded),
                per_second(row.replayed),
                row.event_bytes
            );
        }
    }
    println!("\n| stock keys | resident bytes a stock key, the catalogue included |\n| ---: | ---: |");
    for (stock_keys, bytes) in memory {
        let each = bytes.map_or("unknown".to_owned(), |bytes| {
            (bytes / u64::from(stock_keys)).to_string()
        });
        println!("| {stock_keys} | {each} |");
    }
    Ok(())
}

struct Row {
    decided: f64,
    encoded: f64,
    replayed: f64,
    event_bytes: f64,
}

/// Each figure is the median of the rounds, in events a second.
fn measure(stocked: &State, stock_keys: u32, spread: Spread, size: &Size) -> Result<Row> {
    let mut keys = Keys::new(spread, stock_keys);
    let (mut decided, mut encoded, mut replayed) = (Vec::new(), Vec::new(), Vec::new());
    let mut event_bytes = 0.0;
    for _ in 0..size.rounds {
        let events = (size.batches * BATCH) as f64;
        let rate = |time: Duration| events / time.as_secs_f64();
        decided.push(rate(run(stocked, &mut keys, size.batches, None)?));
        let mut bodies = Vec::new();
        encoded.push(rate(run(stocked, &mut keys, size.batches, Some(&mut bodies))?));
        replayed.push(rate(replay(stocked, &bodies)?));
        event_bytes = bodies.iter().map(Vec::len).sum::<usize>() as f64 / events;
    }
    Ok(Row {
        decided: median(decided),
        encoded: median(encoded),
        replayed: median(replayed),
        event_bytes,
    })
}

/// Decides and applies batches of commands; encodes them too when there is somewhere to put the bodies.
fn run(
    stocked: &State,
    keys: &mut Keys,
    batches: usize,
    mut bodies: Option<&mut Vec<Vec<u8>>>,
) -> Result<Duration> {
    let mut state = stocked.clone();
    let mut body = Body::new(NOW);
    let mut spent = Duration::ZERO;
    let mut batch: Vec<(Request, u64)> = Vec::with_capacity(BATCH);
    for _ in 0..batches {
        batch.extend((0..BATCH).map(|_| {
            let request = keys.request();
            let fingerprint = request.fingerprint();
            (request, fingerprint)
        }));
        let started = Instant::now();
        body.clear(NOW);
        for (request, _) in &batch {
            state.warm(&request.command);
        }
        for (request, fingerprint) in batch.drain(..) {
            let events = decide(&state, &request.command, NOW)?;
            let mut key = request.key.map(|key| RecordedKey { key, fingerprint });
            for event in events {
                let recorded = Recorded {
                    position: state.head().next(),
                    recorded_at: NOW,
                    record: Record {
                        version: state.next_version(event.stream()),
                        author: request.author,
                        on_behalf_of: request.on_behalf_of,
                        key: key.take(),
                        event,
                    },
                };
                state.apply(&recorded)?;
                if bodies.is_some() {
                    body.push(&recorded.record);
                }
            }
        }
        spent += started.elapsed();
        if let Some(bodies) = &mut bodies {
            bodies.push(body.as_bytes().to_vec());
        }
    }
    Ok(spent)
}

fn replay(stocked: &State, bodies: &[Vec<u8>]) -> Result<Duration> {
    let mut state = stocked.clone();
    let mut decoded: Vec<Record> = Vec::with_capacity(REPLAY_CHUNK);
    let started = Instant::now();
    for bytes in bodies {
        let body = BodyRef::parse(bytes)?;
        let mut records = body.records().peekable();
        while records.peek().is_some() {
            for record in records.by_ref().take(REPLAY_CHUNK) {
                decoded.push(record?.decode_bare()?);
            }
            for record in &decoded {
                state.warm_event(&record.event);
            }
            for record in decoded.drain(..) {
                let (position, recorded_at) = (state.head().next(), body.recorded_at());
                state.apply(&Recorded {
                    position,
                    recorded_at,
                    record,
                })?;
            }
        }
    }
    Ok(started.elapsed())
}

/// A ledger with `stock_keys` stock keys, a million units on each.
fn stocked(stock_keys: u32) -> Result<State> {
    let mut state = snapshot::decode(&snapshot::encode(&State::default()))?;
    let variants = stock_keys / WAREHOUSES;
    for no in 1..=WAREHOUSES {
        let (code, name) = (format!("WH-{no}").into(), "Warehouse".into());
        take(
            &mut state,
            &Command::Catalogue(CatalogueCommand::CreateWarehouse {
                code,
                name,
                negative_stock: None,
            }),
        )?;
    }
    for no in 1..=variants {
        let (sku, name) = (format!("SKU-{no:08}").into(), "Variant".into());
        let (product, expires_at) = (None, None);
        take(
            &mut state,
            &Command::Catalogue(CatalogueCommand::CreateVariant {
                tracks_lots: false,
                sku,
                name,
                product,
                expires_at,
            }),
        )?;
    }
    for warehouse in 1..=WAREHOUSES {
        for variant in 1..=variants {
            let line = Line {
                variant: VariantNo(variant),
                quantity: 1_000_000,
            };
            let command = StockCommand::new(Kind::Inbound, WarehouseNo(warehouse), [line]);
            take(&mut state, &Command::Stock(command))?;
        }
    }
    ensure!(
        state.stock().count() == stock_keys as usize,
        "not every key was stocked"
    );
    Ok(state)
}

fn take(state: &mut State, command: &Command) -> Result<()> {
    for event in decide(state, command, NOW)? {
        let recorded = Recorded {
            position: state.head().next(),
            recorded_at: NOW,
            record: Record {
                version: state.next_version(event.stream()),
                author: Uuid::nil(),
                on_behalf_of: None,
                key: None,
                event,
            },
        };
        state.apply(&recorded)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Spread {
    Even,
    Zipf,
}

/// Draws commands. The same seed gives the same commands.
struct Keys {
    random: u64,
    drawn: u64,
    stock_keys: u32,
    /// Cumulative weights of the keys by rank; empty when all weigh the same.
    cumulative: Vec<f64>,
}

impl Keys {
    fn new(spread: Spread, stock_keys: u32) -> Keys {
        let mut sum = 0.0;
        let cumulative = match spread {
            Spread::Even => Vec::new(),
            Spread::Zipf => (1..=stock_keys)
                .map(|rank| {
                    sum += 1.0 / f64::from(rank);
                    sum
                })
                .collect(),
        };
        Keys {
            random: 42,
            drawn: 0,
            stock_keys,
            cumulative,
        }
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn rank(&mut self) -> u32 {
        let random = self.next();
        match self.cumulative.last() {
            None => (random % u64::from(self.stock_keys)) as u32,
            Some(total) => {
                let target = (random >> 11) as f64 / (1u64 << 53) as f64 * total;
                self.cumulative.partition_point(|sum| *sum < target) as u32
            }
        }
    }

    fn request(&mut self) -> Request {
        let rank = self.rank().min(self.stock_keys - 1);
        let (warehouse, variant) = (
            WarehouseNo(rank % WAREHOUSES + 1),
            VariantNo(rank / WAREHOUSES + 1),
        );
        let kind = if self.next().is_multiple_of(2) {
            Kind::Inbound
        } else {
            Kind::Outbound
        };
        self.drawn += 1;
        let key = format!("bench-{:012}", self.drawn);
        Request {
            command: Command::Stock(StockCommand::new(
                kind,
                warehouse,
                [Line { variant, quantity: 1 }],
            )),
            author: Uuid::from_bytes(LEDGER.0),
            on_behalf_of: None,
            key: IdempotencyKey::parse(KeySpace::Caller, &key).ok(),
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}

fn per_second(rate: f64) -> String {
    format!("{:.2} M/s", rate / 1e6)
}
