//! Imports into a ledger of a stopped data folder, through an engine of its own.

use anyhow::{Context, bail};
use bincard_engine::{Ledger, Receipt, Refusal};
use bincard_ledger::command::KeySpace;
use bincard_ledger::{
    CatalogueCommand, Command, IdempotencyKey, Line, Rejection, Request, StockCommand, VariantNo, WarehouseNo,
};
use uuid::Uuid;

use super::{HeadReport, Made, Outcome, Target, put};
use crate::import::plan::{PlannedEvent, PlannedVariant, PlannedWarehouse};

/// A ledger of a stopped data folder.
pub(crate) struct FolderTarget {
    ledger: Ledger,
    author: Uuid,
    /// By the number within the import: the ledger's own number, or why there is none.
    variants: Vec<Result<VariantNo, String>>,
    depots: Vec<Result<WarehouseNo, String>>,
}

impl FolderTarget {
    /// Imports into `ledger`, in the name of `author`.
    pub(crate) fn new(ledger: Ledger, author: Uuid) -> FolderTarget {
        FolderTarget {
            ledger,
            author,
            variants: Vec::new(),
            depots: Vec::new(),
        }
    }

    fn request(&self, command: Command, key: Option<IdempotencyKey>) -> Request {
        Request {
            command,
            author: self.author,
            on_behalf_of: None,
            key,
        }
    }

    fn enter_depot(&mut self, depot: &PlannedWarehouse) -> anyhow::Result<bool> {
        let found = self.ledger.names().warehouse_by_code(&depot.code);
        let (entry, is_made) = match found {
            Some(no) => (Ok(no), false),
            None => {
                let command = CatalogueCommand::CreateWarehouse {
                    code: depot.code.clone(),
                    name: depot.name.clone(),
                    negative_stock: None,
                };
                let request = self.request(Command::Catalogue(command), None);
                let outcome = self.ledger.submit_batch_blocking(vec![request]).pop();
                match settle(outcome.context("the ledger did not answer")?)? {
                    Ok(receipt) => (Ok(WarehouseNo(receipt.subject)), true),
                    Err(refusal) => (Err(format!("warehouse {}: {refusal}", depot.code)), false),
                }
            }
        };
        put(&mut self.depots, depot.no.0, entry);
        Ok(is_made)
    }

    fn enter_variants(&mut self, variants: &[PlannedVariant]) -> anyhow::Result<u64> {
        let mut asked = Vec::new();
        let mut requests = Vec::new();
        for variant in variants {
            if let Some(no) = self.ledger.names().variant_by_sku(&variant.sku) {
                put(&mut self.variants, variant.no.0, Ok(no));
            } else if variant.create {
                let command = CatalogueCommand::CreateVariant {
                    tracks_lots: false,
                    sku: variant.sku.clone(),
                    name: variant.name.clone(),
                    product: None,
                    expires_at: None,
                };
                asked.push(variant);
                requests.push(self.request(Command::Catalogue(command), None));
            } else {
                put(
                    &mut self.variants,
                    variant.no.0,
                    Err(format!("there is no variant with SKU {}", variant.sku)),
                );
            }
        }
        let outcomes = self.ledger.submit_batch_blocking(requests);
        let mut made = 0;
        for (variant, outcome) in asked.into_iter().zip(outcomes) {
            let entry = match settle(outcome)? {
                Ok(receipt) => {
                    made += 1;
                    Ok(VariantNo(receipt.subject))
                }
                Err(refusal) => Err(format!("SKU {}: {refusal}", variant.sku)),
            };
            put(&mut self.variants, variant.no.0, entry);
        }
        Ok(made)
    }

    fn command(&self, event: &PlannedEvent) -> Result<StockCommand, String> {
        let warehouse = self.depots[event.depot.0 as usize].clone()?;
        let mut command = StockCommand::new(event.kind, warehouse, []);
        for (sku, quantity) in &event.lines {
            let variant = self.variants[sku.0 as usize].clone()?;
            command.lines.push(Line {
                variant,
                quantity: *quantity,
            });
        }
        command.occurred_at = Some(event.occurred_at);
        command.reason = event.reason;
        command.notes = event.notes.clone();
        Ok(command)
    }

    /// Why the ledger refused, with SKUs instead of numbers.
    fn explain(&self, refusal: &Refusal, lines: &[bincard_ledger::Line]) -> String {
        let sku = |variant| {
            let name = self.ledger.names().variant(variant);
            name.map_or_else(
                || format!("variant {}", variant.0),
                |name| format!("SKU {}", name.sku),
            )
        };
        let of_line = |line: &usize| lines.get(*line).map(|line| sku(line.variant)).unwrap_or_default();
        match refusal {
            Refusal::Rejected(Rejection::Insufficient { shortages }) => {
                let short = shortages.iter().map(|one| {
                    format!(
                        "{}: {} asked for, {} there",
                        sku(one.variant),
                        one.requested,
                        one.available
                    )
                });
                format!("not enough stock: {}", short.collect::<Vec<_>>().join("; "))
            }
            Refusal::Rejected(Rejection::InvalidQuantity { line, quantity }) => {
                format!(
                    "{}: a quantity is 1 to 1,000,000,000, not {quantity}",
                    of_line(line)
                )
            }
            Refusal::Rejected(Rejection::InactiveVariant { line, .. }) => {
                format!("{} is not active", of_line(line))
            }
            Refusal::Rejected(Rejection::VariantExpired { line, .. }) => {
                format!("{} has expired", of_line(line))
            }
            Refusal::Rejected(Rejection::InactiveLot { line, .. }) => {
                format!("{}: the lot is not in use", of_line(line))
            }
            Refusal::Rejected(Rejection::LotExpired { line, .. }) => {
                format!("{}: the lot has expired", of_line(line))
            }
            Refusal::Rejected(Rejection::Overflow { line, .. }) => {
                format!("{}: its stock would become too large", of_line(line))
            }
            other => other.to_string(),
        }
    }
}

impl Target for FolderTarget {
    fn enter(&mut self, depots: &[PlannedWarehouse], variants: &[PlannedVariant]) -> anyhow::Result<Made> {
        let mut made = Made::default();
        for depot in depots {
            made.warehouses += u64::from(self.enter_depot(depot)?);
        }
        if !variants.is_empty() {
            made.variants = self.enter_variants(variants)?;
        }
        Ok(made)
    }

    fn record(&mut self, events: &[PlannedEvent]) -> anyhow::Result<Vec<Outcome>> {
        let mut outcomes = vec![None; events.len()];
        let mut asked = Vec::with_capacity(events.len());
        let mut requests = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            match self.command(event) {
                Err(reason) => outcomes[index] = Some(Outcome::Refused(reason)),
                Ok(command) => {
                    let key = IdempotencyKey::parse(KeySpace::Caller, &event.key)?;
                    asked.push((index, command.lines.clone()));
                    requests.push(self.request(Command::Stock(command), Some(key)));
                }
            }
        }
        let answers = self.ledger.submit_batch_blocking(requests);
        for ((index, lines), answer) in asked.into_iter().zip(answers) {
            outcomes[index] = Some(match settle(answer)? {
                Ok(receipt) if receipt.replayed => Outcome::Replayed,
                Ok(_) => Outcome::Recorded,
                Err(Refusal::KeyReused { position }) => super::conflicting(Some(position)),
                Err(refusal) => Outcome::Refused(self.explain(&refusal, &lines)),
            });
        }
        let unanswered = || Outcome::Refused("the ledger did not answer".to_owned());
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(unanswered))
            .collect())
    }

    fn head(&mut self) -> anyhow::Result<HeadReport> {
        let head = self.ledger.reader().head();
        Ok(HeadReport {
            position: head.position.0,
            hash: head.hash.to_string(),
        })
    }
}

/// Tells a refusal of one request from a ledger that takes none.
fn settle(outcome: Result<Receipt, Refusal>) -> anyhow::Result<Result<Receipt, Refusal>> {
    match outcome {
        Err(
            refusal @ (Refusal::Busy
            | Refusal::Unavailable { .. }
            | Refusal::DiskFull
            | Refusal::Stopped { .. }
            | Refusal::OutcomeUnknown
            | Refusal::Unreadable { .. }),
        ) => bail!("{refusal}. Importing the file again goes on where this stopped"),
        other => Ok(other),
    }
}
