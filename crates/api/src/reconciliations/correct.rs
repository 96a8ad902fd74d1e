//! Corrections of the ledger by what is unexplained of a count: one event a line, once, whoever asks for it.

use std::sync::Arc;

use bincard_engine::{Ledger, Refusal};
use bincard_ledger::command::KeySpace;
use bincard_ledger::{Command, IdempotencyKey, Kind, Line, Position, Reason, Request, StockCommand};
use bincard_projections::reconcile::{Correct, Corrected, Correction};
use uuid::Uuid;

use crate::failure::Failure;
use crate::rejected::Shape;

/// What became of a correction.
pub(super) enum Outcome {
    /// It is recorded now.
    Now(Position),
    /// It had been recorded before, where known at this position.
    Before(Option<Position>),
    /// The ledger does not take it.
    Refused(Failure),
}

impl Outcome {
    pub(super) fn corrected(&self) -> Corrected {
        match self {
            Outcome::Now(position) | Outcome::Before(Some(position)) => Corrected::Recorded(*position),
            Outcome::Before(None) => Corrected::Before,
            Outcome::Refused(failure) => Corrected::Refused(failure.code().path().to_owned()),
        }
    }
}

/// Records a correction, in the name of `author`.
pub(super) async fn correct(
    ledger: &Ledger,
    correction: Correction,
    author: Uuid,
) -> Result<Outcome, Failure> {
    let line = Line {
        variant: correction.key.variant,
        quantity: correction.units,
    };
    let (run, no) = (correction.run, correction.no);
    let mut command = StockCommand::new(Kind::Adjust, correction.key.warehouse, [line]);
    command.reason = Some(Reason::CountCorrection);
    command.occurred_at = correction.reported_at;
    command.notes = Some(format!("reconciliation {run}: {}", correction.source).into());
    let key = IdempotencyKey::parse(KeySpace::Server, &format!("reconcile:{run}:{no}"));
    let request = Request {
        command: Command::Stock(command),
        author,
        on_behalf_of: None,
        key: Some(key.map_err(|error| Failure::internal(error.to_string()))?),
    };
    match ledger.submit(request).await {
        Ok(receipt) if receipt.replayed => Ok(Outcome::Before(Some(receipt.position))),
        Ok(receipt) => Ok(Outcome::Now(receipt.position)),
        // By somebody else: the key is of this line, whoever asked.
        Err(Refusal::KeyReused { .. }) => Ok(Outcome::Before(None)),
        Err(refusal @ Refusal::Rejected(_)) => Ok(Outcome::Refused(Failure::of_refusal(
            refusal,
            ledger,
            Shape::Notes,
        ))),
        Err(refusal) => Err(Failure::of_refusal(refusal, ledger, Shape::Notes)),
    }
}

/// Corrects in the background, in the name of who asked for the reconciliation.
pub(crate) fn in_background(ledger: Ledger) -> Correct {
    Arc::new(move |correction| {
        let ledger = ledger.clone();
        Box::pin(async move {
            let author = Uuid::try_parse(&correction.author).unwrap_or_default();
            match correct(&ledger, correction, author).await {
                Ok(outcome) => Ok(outcome.corrected()),
                Err(failure) => Err(failure.code().title().to_owned()),
            }
        })
    })
}
