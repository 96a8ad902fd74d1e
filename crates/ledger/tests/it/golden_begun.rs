//! The bytes of what counts tell by when it was begun or undone, fixed for ever like those in [`crate::golden`].

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::command::CatalogueCommand;
use bincard_ledger::{
    Command, CountCommand, CountStep, Event, FoundLine, Kind, Line, Recorded, ReverseCommand, StockCommand,
    Timestamp, VariantNo, WarehouseNo, snapshot,
};

use crate::golden::{self, RECORDED_AT, bytes_of, hex_of};
use crate::journal::Journal;

const RECORDS: &str = include_str!("../golden/v1/records-begun.txt");
const SNAPSHOT: &str = include_str!("../golden/v1/snapshot-begun.txt");

fn later(seconds: i64) -> Timestamp {
    RECORDED_AT.saturating_add_micros(seconds * 1_000_000)
}

fn count(step: CountStep) -> Command {
    Command::Count(Box::new(CountCommand {
        version: None,
        warehouse: WarehouseNo(1),
        step,
        notes: None,
    }))
}

fn stock(kind: Kind, warehouse: u32, quantity: i64) -> StockCommand {
    let variant = VariantNo(1);
    StockCommand::new(kind, WarehouseNo(warehouse), [Line { variant, quantity }])
}

/// Behind the golden records, variant 1 is counted at warehouse 1, promised and sent there, and what was before is undone.
fn journal() -> Journal {
    let mut journal = Journal {
        state: golden::state(),
        records: Vec::new(),
    };
    let mut take = |seconds, command: Command| {
        journal.take(&command, later(seconds)).unwrap();
        (journal.state.head(), journal.records.last().unwrap().clone())
    };
    let activate = CatalogueCommand::ChangeWarehouse {
        no: WarehouseNo(2),
        code: None,
        name: None,
        active: Some(true),
        negative_stock: None,
    };
    take(0, Command::Catalogue(activate));
    let (_, inbound) = take(0, Command::Stock(stock(Kind::Inbound, 1, 4)));
    take(0, Command::Stock(stock(Kind::Inbound, 2, 9)));
    let variants = Some(vec![VariantNo(1)]);
    let is_blind = false;
    let open = |variants| count(CountStep::Open { is_blind, variants });
    let (id, _) = take(1, open(variants.clone()));
    let lines = vec![FoundLine {
        variant: VariantNo(1),
        counted: 90,
        at: None,
    }];
    take(2, count(CountStep::Submit { count: id, lines }));
    take(3, count(CountStep::Approve { count: id }));
    let reservation = StockCommand {
        order: Some("O-77".into()),
        expires_at: Some(later(900)),
        ..stock(Kind::Reservation, 1, 2)
    };
    take(4, Command::Stock(reservation));
    let dispatch = StockCommand {
        counterpart: Some(WarehouseNo(1)),
        ..stock(Kind::TransferOut, 2, 3)
    };
    take(5, Command::Stock(dispatch));
    let reversal = |recorded: Recorded| {
        let Event::Stock(event) = recorded.record.event else {
            unreachable!()
        };
        Command::Reverse(Box::new(ReverseCommand {
            position: recorded.position,
            event,
            recorded_at: recorded.recorded_at,
            asked_as: "a".into(),
            version: None,
            notes: None,
        }))
    };
    let (_, outbound) = take(6, Command::Stock(stock(Kind::Outbound, 1, 1)));
    take(7, open(variants));
    take(8, reversal(outbound));
    take(9, reversal(inbound));
    journal
}

#[test]
fn records_are_the_same_both_ways() {
    let mut written = String::new();
    for recorded in journal().records {
        let mut body = Body::new(recorded.recorded_at);
        body.push(&recorded.record);
        let read = BodyRef::parse(body.as_bytes()).unwrap();
        let raw = read.records().next().unwrap().unwrap();
        assert_eq!(raw.decode().unwrap(), recorded.record);
        written += &format!("{} {}\n", recorded.position, hex_of(raw.as_bytes()));
    }
    assert_eq!(written, RECORDS, "\n{written}");
}

#[test]
fn the_snapshot_is_the_same_both_ways() {
    let state = journal().state;
    let written = hex_of(&snapshot::encode(&state));
    assert_eq!(format!("{written}\n"), SNAPSHOT, "\n{written}");
    let read = snapshot::decode(&bytes_of(SNAPSHOT)).unwrap();
    assert_eq!(snapshot::encode(&read), bytes_of(SNAPSHOT));
    assert_eq!(read.reservations("O-77"), state.reservations("O-77"));
    assert!(read.transfers().eq(state.transfers()));
}
