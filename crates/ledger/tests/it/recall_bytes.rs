//! The bytes that recalls and changes of the catalogue at a version added: fingerprints and a snapshot, fixed for ever.

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::{
    Command, Kind, Line, LineLot, RecallCommand, Request, StockCommand, Timestamp, VariantNo, Version,
    WarehouseNo, snapshot,
};
use uuid::Uuid;

use crate::golden::{bytes_of, hex_of};
use crate::journal::Journal;

const FINGERPRINTS: &str = include_str!("../golden/v1/fingerprints-recall.txt");
const SNAPSHOT: &str = include_str!("../golden/v1/snapshot-recall.txt");

fn expiry_taken_away() -> C {
    C::ChangeLot {
        no: VariantNo(2),
        expires_at: Some(None),
        active: None,
    }
}

fn recall(lot: u32, is_over: bool, notes: Option<&str>) -> Command {
    Command::Recall(RecallCommand {
        lot: VariantNo(lot),
        is_over,
        notes: notes.map(Box::from),
    })
}

#[test]
fn fingerprints_of_recalls_are_what_they_always_were() {
    let commands = [
        ("recall", recall(2, false, None)),
        ("recall-other", recall(3, false, None)),
        ("recall-notes", recall(2, false, Some("glass"))),
        ("release", recall(2, true, None)),
        ("release-notes", recall(2, true, Some("glass"))),
        ("change", Command::Catalogue(expiry_taken_away())),
        ("change-at", Command::CatalogueAt(Version(7), expiry_taken_away())),
        (
            "change-at-other",
            Command::CatalogueAt(Version(8), expiry_taken_away()),
        ),
    ];
    let fingerprint = |command| {
        let request = Request {
            command,
            author: Uuid::nil(),
            on_behalf_of: None,
            key: None,
        };
        request.fingerprint()
    };
    let now: String = commands
        .into_iter()
        .map(|(name, command)| format!("{name} {:016x}\n", fingerprint(command)))
        .collect();
    assert_eq!(now, FINGERPRINTS, "\n{now}");
}

/// A warehouse where 5 of a lot out of use are set aside, and 2 were held before.
fn journal() -> Journal {
    let mut journal = Journal::new();
    let at = Timestamp::from_micros(1_750_000_000_000_000);
    let line = |quantity| Line {
        variant: VariantNo(1),
        quantity,
    };
    let of_the_lot = |kind, quantity| {
        let mut command = StockCommand::new(kind, WarehouseNo(1), [line(quantity)]);
        command.lots = vec![LineLot {
            line: 0,
            code: "L".into(),
            expires_at: None,
        }];
        Command::Stock(command)
    };
    let commands = [
        Command::Catalogue(C::CreateWarehouse {
            code: "N".into(),
            name: "N".into(),
            negative_stock: None,
        }),
        Command::Catalogue(C::CreateVariant {
            sku: "A".into(),
            name: "A".into(),
            product: None,
            expires_at: None,
            tracks_lots: true,
        }),
        of_the_lot(Kind::Inbound, 6),
        of_the_lot(Kind::Hold, 2),
        recall(2, false, None),
        of_the_lot(Kind::Inbound, 1),
    ];
    for command in commands {
        journal.take(&command, at).expect("it can be done");
    }
    journal
}

#[test]
fn a_snapshot_of_what_is_set_aside_is_the_same_both_ways() {
    let bytes = journal().bytes();
    let hex = hex_of(&bytes);
    assert_eq!(format!("{hex}\n"), SNAPSHOT, "\n{hex}");
    let read = snapshot::decode(&bytes_of(SNAPSHOT)).unwrap();
    assert_eq!(snapshot::encode(&read), bytes);
}

#[test]
fn a_snapshot_of_what_cannot_be_set_aside_is_refused() {
    let bytes = journal().bytes();
    // One key: the section's number, a count of 1, the warehouse, the lot and its units, which are the last byte.
    for units in [0, 8, 255] {
        let mut wrong = bytes.clone();
        *wrong.last_mut().unwrap() = units;
        assert!(snapshot::decode(&wrong).is_err(), "{units} units");
    }
    let mut of_the_variant = bytes.clone();
    let lot = of_the_variant.len() - 2;
    of_the_variant[lot] = 1;
    assert!(snapshot::decode(&of_the_variant).is_err());
    let mut of_nothing = bytes.clone();
    of_nothing.truncate(lot - 2);
    of_nothing.push(0);
    assert!(snapshot::decode(&of_nothing).is_err());
}
