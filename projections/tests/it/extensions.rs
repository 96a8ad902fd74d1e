//! A reservation that gets another expiry runs out by that one in the view of stock, from whatever it had before.

use bincard_ledger::{Command, ExtendCommand, Kind, Line, Position, StockCommand, VariantNo, WarehouseNo};
use bincard_projections::stock::StockKey;
use bincard_projections::{ViewName, Views, verify};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::answers::check_stock;
use crate::ledger::{Kept, Ledger, MINUTE, runtime};
use crate::rebuild::assert_verified;

const WAREHOUSE: WarehouseNo = WarehouseNo(1);

fn lines(quantity: i64) -> [Line; 2] {
    [1, 2].map(|no| Line {
        variant: VariantNo(no),
        quantity,
    })
}

/// Ten units each of two variants, of which order O reserves six; the reservation is the last event.
fn reserved(expires_in: Option<i64>) -> (Ledger, Position) {
    let mut ledger = Ledger::with_catalogue();
    ledger.receive(1, 1, 10);
    ledger.receive(1, 2, 10);
    let mut reservation = of_order(Kind::Reservation, lines(6));
    reservation.expires_at = expires_in.map(|minutes| ledger.now.saturating_add_micros(minutes * MINUTE));
    assert!(ledger.run(&Command::Stock(reservation)));
    let id = ledger.events.last().unwrap().position;
    (ledger, id)
}

fn of_order(kind: Kind, lines: impl IntoIterator<Item = Line>) -> StockCommand {
    StockCommand {
        order: Some("O".into()),
        ..StockCommand::new(kind, WAREHOUSE, lines)
    }
}

fn extend(ledger: &mut Ledger, reservation: Position, minutes: Option<i64>) {
    let expires_at = minutes.map(|minutes| ledger.now.saturating_add_micros(minutes * MINUTE));
    assert!(ledger.run(&Command::Extend(ExtendCommand {
        version: None,
        warehouse: WAREHOUSE,
        order: "O".into(),
        reservation,
        expires_at,
        notes: None,
    })));
}

/// What is available of variant 1 in so many minutes, by the view.
fn available_in(ledger: &Ledger, views: &Views, minutes: i64) -> i64 {
    let key = StockKey {
        warehouse: WAREHOUSE,
        variant: VariantNo(1),
    };
    let now = ledger.now.saturating_add_micros(minutes * MINUTE);
    let row = views.stock_row(key, now).unwrap().value;
    row.unwrap().buckets.available()
}

#[test]
fn an_extended_reservation_runs_out_at_its_last_instant() {
    for kept in Kept::BOTH {
        // Minutes from now, commit by commit: later, earlier, for good, again, and several at once.
        let commits: [&[Option<i64>]; 6] = [
            &[Some(60)],
            &[Some(20)],
            &[None],
            &[Some(40)],
            &[Some(90), None, Some(10), Some(50)],
            &[Some(30), Some(50)],
        ];
        let runtime = runtime();
        for expires_in in [Some(30), None] {
            let (ledger, id) = reserved(expires_in);
            let mut ledger = ledger.kept(kept);
            ledger.commit();
            let projector = ledger.project();
            for extensions in commits {
                for minutes in extensions {
                    extend(&mut ledger, id, *minutes);
                }
                // No time passes before the view has caught up, so that minutes are minutes.
                let last = extensions
                    .last()
                    .unwrap()
                    .map(|minutes| (minutes - 1, minutes + 1));
                ledger.commit();
                let views = runtime.block_on(ledger.settled(&projector));
                let (before, after) = last.unwrap_or((5, 10_000));
                assert_eq!(available_in(&ledger, &views, before), 4, "{extensions:?}");
                let expected = if last.is_some() { 10 } else { 4 };
                assert_eq!(available_in(&ledger, &views, after), expected, "{extensions:?}");
                runtime.block_on(check_stock(&ledger, &views));
            }
            projector.close();
            let projector = ledger.project();
            assert!(ledger.run(&Command::Stock(StockCommand {
                reservation: Some(id),
                ..of_order(Kind::Pick, lines(2))
            })));
            extend(&mut ledger, id, Some(15));
            ledger.commit();
            let views = runtime.block_on(ledger.settled(&projector));
            assert_eq!(available_in(&ledger, &views, 16), 8, "what was picked stays");
            runtime.block_on(check_stock(&ledger, &views));
            runtime.block_on(assert_verified(&ledger));
            projector.close();
        }
    }
}

#[test]
fn a_verification_names_the_extension_that_a_row_came_from() {
    let (mut ledger, id) = reserved(Some(30));
    assert!(ledger.run(&Command::Stock(of_order(Kind::Pick, lines(1)))));
    extend(&mut ledger, id, Some(60));
    let extension = ledger.events.last().unwrap().position;
    ledger.commit();
    let projector = ledger.project();
    runtime().block_on(ledger.settled(&projector));
    projector.close();
    let found = runtime().block_on(async {
        let options = SqliteConnectOptions::new().filename(ledger.views_path().join("stock.1.db"));
        let mut connection = options.connect().await.unwrap();
        let tamper = "update expiring set quantity = 1 where variant = 2";
        let done = sqlx::query(tamper).execute(&mut connection).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        connection.close().await.unwrap();
        verify(&ledger.views_path(), &ledger.reader, &[ViewName::Stock], |_| {})
            .await
            .unwrap()
    });
    let [difference] = found[0].differences.as_slice() else {
        panic!("{:?}", found[0].differences)
    };
    assert_eq!(
        (difference.table, difference.first),
        ("expiring", Some(extension))
    );
    assert_eq!(difference.expected.as_deref(), Some("quantity 5"));
}
