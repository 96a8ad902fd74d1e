//! What to answer for an idempotency key that is known: the writer only sees hashes, the log has the keys.
//!
//! This runs on the caller's thread, so that a caller who repeats itself costs the writer nothing but the look-up.

use bincard_ledger::{CatalogueEvent, Command, Event, Position, Recorded};
use bincard_store::{ReadError, Reader};
use uuid::Uuid;

use crate::ledger::{Answer, Receipt, Refusal};
use crate::queue::{AnsweredBatch, Asked};

/// The hash of a key that a joint log finds by a digest.
pub(crate) fn hash_of_digest(digest: Uuid) -> u64 {
    digest.as_u64_pair().0
}

/// What an answer means for the one who asked. `None`: the key's hash was another key's, which the request now says of
/// itself; ask again.
pub(crate) fn settle(reader: &Reader, asked: &mut Asked, answer: Answer) -> Option<Result<Receipt, Refusal>> {
    match answer {
        Answer::Recorded(receipt) => Some(Ok(receipt)),
        Answer::Rejected(rejection) => Some(Err(rejection.into())),
        Answer::Failed(refusal) => Some(Err(refusal)),
        Answer::Known(positions) => settle_known(reader, asked, &positions),
    }
}

/// Looks at what is recorded at `positions`, whose keys have the same hash as the asked one's.
fn settle_known(
    reader: &Reader,
    asked: &mut Asked,
    positions: &[Position],
) -> Option<Result<Receipt, Refusal>> {
    let unreadable = |why: String| Some(Err(Refusal::Unreadable { why: why.into() }));
    for &position in positions {
        let recorded = match reader.event(position) {
            Ok(Some(recorded)) => recorded,
            Ok(None) => return unreadable(format!("there is no event at position {position}")),
            // It may answer the next time; the same key then finds the same event.
            Err(ReadError::Database { .. }) => return Some(Err(Refusal::OutcomeUnknown)),
            Err(error) => return unreadable(error.to_string()),
        };
        let Some(known) = recorded.record.key.as_ref() else {
            return unreadable(format!("the event at position {position} carries no key"));
        };
        if Some(&known.key) == asked.request.key.as_ref() {
            let same = known.fingerprint == asked.fingerprint;
            return Some(if same {
                Ok(receipt_of(&recorded))
            } else {
                Err(Refusal::KeyReused { position })
            });
        }
        asked.other_keys.push(position);
    }
    None
}

fn receipt_of(recorded: &Recorded) -> Receipt {
    let subject = subject_of(&recorded.record.event);
    Receipt {
        position: recorded.position,
        version: recorded.record.version,
        recorded_at: recorded.recorded_at,
        subject,
        replayed: true,
        says_more: says_more(&recorded.record.event),
    }
}

/// Whether an event says more than what was asked for.
pub(crate) fn says_more(event: &Event) -> bool {
    matches!(event, Event::Stock(event) if !event.noted.is_empty() || event.count.is_some())
}

/// Whether an event is of lots that its command left open or named otherwise.
pub(crate) fn chose_lots(command: &Command, event: &Event) -> bool {
    let (Command::Stock(command), Event::Stock(event)) = (command, event) else {
        return false;
    };
    let lines = command.lines.iter().map(|line| line.variant);
    !lines.eq(event.postings.iter().map(|posting| posting.variant))
}

/// The number of what a catalogue event is about.
pub(crate) fn subject_of(event: &Event) -> u32 {
    let Event::Catalogue(event) = event else { return 0 };
    match event {
        CatalogueEvent::WarehouseCreated { no, .. } | CatalogueEvent::WarehouseChanged { no, .. } => no.0,
        CatalogueEvent::WarehousePolicyChanged { no, .. } => no.0,
        CatalogueEvent::WarehouseActivated(no) | CatalogueEvent::WarehouseDeactivated(no) => no.0,
        CatalogueEvent::ProductCreated { no, .. } | CatalogueEvent::ProductChanged { no, .. } => no.0,
        CatalogueEvent::ProductActivated(no) | CatalogueEvent::ProductDeactivated(no) => no.0,
        CatalogueEvent::VariantCreated { no, .. } | CatalogueEvent::VariantChanged { no, .. } => no.0,
        CatalogueEvent::LotCreated { no, .. } | CatalogueEvent::LotChanged { no, .. } => no.0,
        CatalogueEvent::SlotChanged { variant, .. } => variant.0,
        CatalogueEvent::VariantActivated(no) | CatalogueEvent::VariantDeactivated(no) => no.0,
    }
}

/// A batch whose requests are settled one by one, those with a colliding key after another round.
pub(crate) struct Batch {
    outcomes: Vec<Option<Result<Receipt, Refusal>>>,
    /// What is to be asked in the next round, and which requests these are.
    next: Vec<Asked>,
    places: Vec<usize>,
}

impl Batch {
    pub(crate) fn new(asked: impl Iterator<Item = Asked>) -> Batch {
        let next: Vec<Asked> = asked.collect();
        Batch {
            outcomes: vec![None; next.len()],
            places: (0..next.len()).collect(),
            next,
        }
    }

    /// How many requests it has.
    pub(crate) fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// What to hand over next; `None` when everything is settled.
    pub(crate) fn next_asked(&mut self) -> Option<Vec<Asked>> {
        if self.next.is_empty() {
            None
        } else {
            Some(std::mem::take(&mut self.next))
        }
    }

    /// Takes the answers to what was handed over.
    pub(crate) fn settle(&mut self, reader: &Reader, answered: Result<AnsweredBatch, Refusal>) {
        let places = std::mem::take(&mut self.places);
        let (asked, mut answers) = match answered {
            Ok(answered) => answered,
            Err(refusal) => {
                for place in places {
                    self.outcomes[place] = Some(Err(refusal.clone()));
                }
                return;
            }
        };
        for ((place, mut asked), answer) in places.into_iter().zip(asked).zip(answers.drain()) {
            self.outcomes[place] = settle(reader, &mut asked, answer);
            if self.outcomes[place].is_none() {
                self.next.push(asked);
                self.places.push(place);
            }
        }
    }

    pub(crate) fn into_outcomes(self) -> Vec<Result<Receipt, Refusal>> {
        // Every place was settled: the writer answers as many as it was asked.
        self.outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or(Err(Refusal::OutcomeUnknown)))
            .collect()
    }
}
