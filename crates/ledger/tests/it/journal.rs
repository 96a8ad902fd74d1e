//! A ledger in memory: decides, records and applies, and keeps all that it recorded.

use bincard_ledger::{
    Command, Decision, Event, Kind, LedgerId, Line, Record, Recorded, Rejection, State, StockCommand,
    Timestamp, VariantNo, WarehouseNo, decide, set_aside, snapshot,
};
use uuid::Uuid;

pub(crate) struct Journal {
    pub(crate) state: State,
    pub(crate) records: Vec<Recorded>,
}

impl Journal {
    pub(crate) fn new() -> Journal {
        Journal {
            state: State::new(LedgerId(*b"a ledger to test")),
            records: Vec::new(),
        }
    }

    /// What was decided, and what was set aside behind it, after it was applied. A rejection must have changed nothing.
    pub(crate) fn take(&mut self, command: &Command, now: Timestamp) -> Result<Decision, Rejection> {
        let mut decision = decide(&self.state, command, now)?;
        decision.extend(set_aside(&self.state, &decision, now));
        self.record(&decision, now);
        Ok(decision)
    }

    fn record(&mut self, decision: &Decision, now: Timestamp) {
        for event in decision {
            let recorded = Recorded {
                position: self.state.head().next(),
                recorded_at: now,
                record: Record {
                    version: self.state.next_version(event.stream()),
                    author: Uuid::nil(),
                    on_behalf_of: None,
                    key: None,
                    event: event.clone(),
                },
            };
            let applied = self.state.apply(&recorded);
            applied.expect("whatever is decided can be applied");
            self.records.push(recorded);
        }
    }

    /// Records that so many units came in, which would take commands nine billion events.
    pub(crate) fn flood(
        &mut self,
        warehouse: WarehouseNo,
        variant: VariantNo,
        quantity: i64,
        now: Timestamp,
    ) {
        let inbound = StockCommand::new(Kind::Inbound, warehouse, [Line { variant, quantity: 1 }]);
        let mut decision = decide(&self.state, &Command::Stock(inbound), now).expect("one unit fits");
        if let Event::Stock(event) = &mut decision[0] {
            event.postings[0].quantity = quantity;
        }
        self.record(&decision, now);
    }

    /// The state that the records alone give.
    pub(crate) fn replayed(&self) -> State {
        let mut state = State::default();
        for recorded in &self.records {
            state.apply(recorded).expect("a replay takes what was recorded");
        }
        state
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        snapshot::encode(&self.state)
    }
}
