//! What a message in the stream is called and where it goes.

use bincard_ledger::{LedgerId, Position, PublicIds, Stream};
use uuid::Uuid;

/// The `Nats-Msg-Id` of an event: its ledger and its position.
pub(crate) fn id(ledger: LedgerId, position: Position) -> String {
    format!("{}:{position}", Uuid::from_bytes(ledger.0).hyphenated())
}

/// What an id says, if it is one of ours.
pub(crate) fn parse_id(id: &str) -> Option<(LedgerId, Position)> {
    let (ledger, position) = id.split_once(':')?;
    let ledger = Uuid::try_parse(ledger).ok()?;
    Some((LedgerId(*ledger.as_bytes()), Position(position.parse().ok()?)))
}

/// The subject of a stream's events.
pub(crate) fn subject(tenant: &str, ids: PublicIds, stream: Stream) -> String {
    match stream {
        Stream::Catalogue => format!("bincard.events.{tenant}.catalogue"),
        Stream::Warehouse(no) => format!("bincard.events.{tenant}.{}", ids.warehouse(no).hyphenated()),
    }
}

/// All subjects of a tenant.
pub(crate) fn subjects(tenant: &str) -> String {
    format!("bincard.events.{tenant}.>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_others_do_not() {
        let ledger = LedgerId([7; 16]);
        assert_eq!(parse_id(&id(ledger, Position(42))), Some((ledger, Position(42))));
        for foreign in ["", "42", "a:b", "07070707-0707-0707-0707-070707070707:", "x:1"] {
            assert_eq!(parse_id(foreign), None, "{foreign}");
        }
    }
}
