//! Requests for an engine, and those who send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use bincard_engine::Ledger;
use bincard_ledger::command::KeySpace;
use bincard_ledger::{
    CatalogueCommand, Command, IdempotencyKey, Kind, Line, Request, StockCommand, VariantNo, WarehouseNo,
};
use hdrhistogram::Histogram;
use uuid::Uuid;

use crate::sampling::{Dice, RankSampler, Skew};

/// How many variants there are.
pub const VARIANTS: u32 = 10_000;

/// A warehouse, the variants, and much of each on hand.
///
/// # Errors
/// When the ledger refuses it.
pub fn furnish(ledger: &Ledger) -> Result<()> {
    let request = |command| Request {
        command,
        author: Uuid::nil(),
        on_behalf_of: None,
        key: None,
    };
    let warehouse = CatalogueCommand::CreateWarehouse {
        code: "WH-1".into(),
        name: "One".into(),
        negative_stock: None,
    };
    let variant = |no| CatalogueCommand::CreateVariant {
        tracks_lots: false,
        sku: format!("SKU-{no}").into(),
        name: format!("Variant {no}").into(),
        product: None,
        expires_at: None,
    };
    let mut commands = vec![request(Command::Catalogue(warehouse))];
    commands.extend((1..=VARIANTS).map(|no| request(Command::Catalogue(variant(no)))));
    commands.extend((1..=VARIANTS).map(|no| request(moves(Kind::Inbound, no, 1_000_000))));
    for outcome in ledger.submit_batch_blocking(commands) {
        outcome?;
    }
    Ok(())
}

/// A command of one line at the warehouse.
pub fn moves(kind: Kind, variant: u32, quantity: i64) -> Command {
    let line = Line {
        variant: VariantNo(variant),
        quantity,
    };
    Command::Stock(StockCommand::new(kind, WarehouseNo(1), [line]))
}

/// Makes requests of one line with an idempotency key, one INBOUND for three OUTBOUND.
pub struct Requests {
    ranks: RankSampler,
}

impl Requests {
    /// Of variants as the skew has it.
    #[must_use]
    pub fn of(skew: Skew) -> Requests {
        Requests {
            ranks: RankSampler::new(VARIANTS as usize, skew),
        }
    }

    /// `count` requests of their own for the caller with this number.
    #[must_use]
    pub fn for_caller(&self, caller: usize, count: usize) -> Vec<Request> {
        let mut dice = Dice::new(caller as u64 + 1);
        let request = |turn| {
            let variant = self.ranks.draw(&mut dice) as u32 + 1;
            let kind = if dice.below(4) == 0 {
                Kind::Inbound
            } else {
                Kind::Outbound
            };
            let text = format!("{caller:08x}-{turn:08x}").into();
            let key = IdempotencyKey {
                space: KeySpace::Caller,
                text,
            };
            Request {
                command: moves(kind, variant, 1),
                author: Uuid::nil(),
                on_behalf_of: None,
                key: Some(key),
            }
        };
        (0..count).map(request).collect()
    }

    /// Batches for so many callers, `commands` in all.
    #[must_use]
    pub fn batches(&self, callers: usize, batch: usize, commands: usize) -> Vec<Vec<Vec<Request>>> {
        let each = (commands / batch / callers).max(1);
        let of_caller = |caller| {
            (0..each)
                .map(|n| self.for_caller(caller * each + n, batch))
                .collect()
        };
        (0..callers).map(of_caller).collect()
    }
}

/// Each caller sends its next request when the last is answered; how many were answered, and how long each took.
///
/// # Errors
/// When one is refused.
pub fn run_single(ledger: &Ledger, requests: Vec<Vec<Request>>) -> Result<(u64, Histogram<u64>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()?;
    runtime.block_on(async {
        let mut callers = tokio::task::JoinSet::new();
        for requests in requests {
            let ledger = ledger.clone();
            callers.spawn(async move {
                let mut nanos = Vec::with_capacity(requests.len());
                for request in requests {
                    let asked = Instant::now();
                    ledger.submit(request).await?;
                    nanos.push(asked.elapsed().as_nanos() as u64);
                }
                anyhow::Ok(nanos)
            });
        }
        let mut latencies = Histogram::new(3)?;
        while let Some(nanos) = callers.join_next().await {
            for nanos in nanos?? {
                latencies.record(nanos)?;
            }
        }
        Ok((latencies.len(), latencies))
    })
}

/// Each caller sends its next batch when the last is answered; how many requests were accepted, and how long each batch
/// took.
///
/// # Errors
/// When a caller panicked.
pub fn run_batched(ledger: &Ledger, batches: Vec<Vec<Vec<Request>>>) -> Result<(u64, Histogram<u64>)> {
    let accepted = Arc::new(AtomicU64::new(0));
    let mut latencies = Histogram::new(3)?;
    std::thread::scope(|scope| {
        let submitters: Vec<_> = batches
            .into_iter()
            .map(|batches| {
                let (ledger, accepted) = (ledger.clone(), accepted.clone());
                scope.spawn(move || {
                    let mut took: Vec<Duration> = Vec::with_capacity(batches.len());
                    for batch in batches {
                        let asked = Instant::now();
                        let outcomes = ledger.submit_batch_blocking(batch);
                        took.push(asked.elapsed());
                        let count = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                        accepted.fetch_add(count as u64, Ordering::Relaxed);
                    }
                    took
                })
            })
            .collect();
        for submitter in submitters {
            for took in submitter
                .join()
                .map_err(|_| anyhow::anyhow!("a submitter panicked"))?
            {
                latencies.record(took.as_nanos() as u64)?;
            }
        }
        anyhow::Ok(())
    })?;
    Ok((accepted.load(Ordering::Relaxed), latencies))
}
