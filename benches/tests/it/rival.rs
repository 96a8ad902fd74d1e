//! The rival against a private PostgreSQL.

use axum::http::StatusCode;
use bincard_benches::rival::{POSTGRES_SETTINGS, Posted, Rival, measure};
use bincard_benches::sampling::{Catalogue, Skew};
use bincard_benches::wire::{CreateStockEvent, Kind, NewLine, Refusal};
use bincard_benches::{Size, peers};
use bincard_testkit::load::{Load, Until};
use bincard_testkit::postgres::Postgres;
use std::path::Path;

fn peer() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_peer"))
}

fn event(kind: Kind, catalogue: &Catalogue, lines: &[(usize, i64)]) -> CreateStockEvent {
    let lines = lines.iter();
    CreateStockEvent {
        kind,
        warehouse_id: catalogue.warehouse,
        occurred_at: None,
        reason_code: None,
        notes: None,
        lines: lines
            .map(|(rank, quantity)| NewLine {
                variant_id: catalogue.variants[*rank],
                quantity: *quantity,
            })
            .collect(),
    }
}

fn refused(status: StatusCode, detail: &'static str) -> Posted {
    Posted::Refused(Refusal::new(status, detail))
}

async fn fresh(on_hand: i64) -> (Postgres, Rival, Catalogue) {
    let postgres = Postgres::start_with(POSTGRES_SETTINGS).unwrap();
    let rival = Rival::open(&postgres.socket_url("postgres"), 8).await.unwrap();
    let catalogue = Catalogue::made_up(4);
    rival.fill(&catalogue, on_hand).await.unwrap();
    (postgres, rival, catalogue)
}

#[test]
fn the_whole_bench_runs_at_small_size_and_its_books_are_right() {
    let figures = measure::run(Size::Small, peer()).unwrap();
    let names: Vec<&str> = figures.rows().iter().map(|row| row.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "rival in process, 8 tasks, even",
            measure::IN_PROCESS_ROW,
            "rival in process, 8 tasks, Zipf 1.0",
            "rival in process, 32 tasks, Zipf 1.0",
            "rival in process, 8 tasks, Zipf 2.0",
            "rival in process, 32 tasks, Zipf 2.0",
            "rival over HTTP, 64 connections, even, pool of 16",
            measure::HTTP_ROW,
            "rival over HTTP, 64 connections, Zipf 1.0",
            "rival over HTTP, 64 connections, Zipf 2.0",
            "bare handler, 64 connections",
            "bare handler, 256 connections",
        ]
    );
    assert!(
        figures
            .rows()
            .iter()
            .all(|row| row.per_second > 0.0 && row.latency.is_some()),
        "{figures}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_race_for_the_last_units_exactly_they_are_sold() {
    let (_postgres, rival, catalogue) = fresh(25).await;
    let buyers = (0..8).map(|buyer| {
        let (rival, catalogue) = (rival.clone(), catalogue.clone());
        tokio::spawn(async move {
            let mut sold = 0;
            for number in 0..20 {
                // Two lines in either order: locks taken in the order of the lines would deadlock.
                let lines = if buyer % 2 == 0 {
                    [(0, 1), (1, 1)]
                } else {
                    [(1, 1), (0, 1)]
                };
                let request = event(Kind::Outbound, &catalogue, &lines);
                let posted = rival
                    .post(Some(&format!("{buyer}-{number}")), &request)
                    .await
                    .unwrap();
                match posted {
                    Posted::Created(_) => sold += 1,
                    other => assert_eq!(other, refused(StatusCode::CONFLICT, "stock-insufficient")),
                }
            }
            sold
        })
    });
    let mut sold = 0;
    for buyer in buyers.collect::<Vec<_>>() {
        sold += buyer.await.unwrap();
    }
    assert_eq!(sold, 25);
    let audit = rival.audit(25).await.unwrap();
    assert_eq!(
        (audit.events, audit.movements, audit.below_zero, audit.drifted),
        (25, 50, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_for_one_request_once() {
    let (_postgres, rival, catalogue) = fresh(10).await;
    let take = event(Kind::Outbound, &catalogue, &[(0, 10), (2, 1)]);
    let Posted::Created(first) = rival.post(Some("k"), &take).await.unwrap() else {
        panic!("refused")
    };
    assert_eq!(
        first.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(),
        [-10, -1]
    );
    assert_eq!(first.lines[0].variant_sku, "SKU-00001");
    assert_eq!(first.warehouse_code, "WH-1");

    // Now nothing is left of the first variant; the first answer comes again all the same.
    let Posted::Replayed(again) = rival.post(Some("k"), &take).await.unwrap() else {
        panic!("not replayed")
    };
    assert_eq!(again.id, first.id);
    assert_eq!(again.lines, first.lines);

    let other = event(Kind::Inbound, &catalogue, &[(0, 10)]);
    let conflict = refused(StatusCode::CONFLICT, "stock-idempotency-conflict");
    assert_eq!(rival.post(Some("k"), &other).await.unwrap(), conflict);

    // A refused request does not use its key up.
    let short = refused(StatusCode::CONFLICT, "stock-insufficient");
    assert_eq!(rival.post(Some("k2"), &take).await.unwrap(), short);
    assert!(matches!(
        rival.post(Some("k2"), &other).await.unwrap(),
        Posted::Created(_)
    ));
    let audit = rival.audit(10).await.unwrap();
    assert_eq!((audit.events, audit.movements, audit.drifted), (2, 3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_not_found() {
    let (_postgres, rival, catalogue) = fresh(10).await;
    let stranger = Catalogue::made_up(5);
    let request = event(Kind::Inbound, &stranger, &[(4, 1)]);
    let missing = refused(StatusCode::NOT_FOUND, "stock-variant-not-found");
    assert_eq!(rival.post(None, &request).await.unwrap(), missing);
    let mut elsewhere = event(Kind::Inbound, &catalogue, &[(0, 1)]);
    elsewhere.warehouse_id = catalogue.variants[0];
    let missing = refused(StatusCode::NOT_FOUND, "stock-warehouse-not-found");
    assert_eq!(rival.post(None, &elsewhere).await.unwrap(), missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_it_answers_as_documented() {
    let (postgres, _rival, catalogue) = fresh(10).await;
    let server = peers::start_rival(peer(), &postgres.socket_url("postgres"), 4).unwrap();
    let good = event(Kind::Outbound, &catalogue, &[(0, 7)]);
    let mut twice = good.clone();
    twice.lines.push(good.lines[0].clone());
    let mut reasoned = serde_json::to_value(&good).unwrap();
    reasoned["reasonCode"] = "PURCHASE".into();
    let bodies = [
        (serde_json::to_vec(&good).unwrap(), 201, "\"quantity\":-7"),
        (serde_json::to_vec(&good).unwrap(), 409, "stock-insufficient"),
        (serde_json::to_vec(&twice).unwrap(), 400, "invalid payload"),
        (serde_json::to_vec(&reasoned).unwrap(), 400, "invalid payload"),
        (br#"{"type":"OUTBOUND"}"#.to_vec(), 400, "invalid payload"),
    ];
    let load = Load::post(
        server.address().unwrap(),
        "/api/v1/stock-events",
        1,
        Until::Requests(5),
    );
    let mut told = Vec::new();
    load.drive_and_watch(
        |_, request, draft| {
            draft
                .body
                .extend_from_slice(&bodies[usize::try_from(request).unwrap()].0)
        },
        |answer| told.push((answer.status, String::from_utf8(answer.body.to_vec()).unwrap())),
    )
    .unwrap();
    assert_eq!(told.len(), bodies.len());
    for ((_, status, text), (told_status, told_text)) in bodies.iter().zip(&told) {
        assert_eq!(*told_status, Some(*status), "{told_text}");
        assert!(told_text.contains(text), "{told_text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn demand_for_more_than_there_is_is_refused_and_the_books_hold() {
    let (_postgres, rival, catalogue) = fresh(3).await;
    let time = std::time::Duration::from_millis(300);
    let done = measure::transactions(&rival, &catalogue, 8, Skew::Zipf(2.0), "k", time)
        .await
        .unwrap();
    assert!(
        done.created > 0 && done.refused > 0,
        "{} created, {} refused",
        done.created,
        done.refused
    );
    let audit = rival.audit(3).await.unwrap();
    assert_eq!(u64::try_from(audit.events).unwrap(), done.created);
    assert_eq!((audit.below_zero, audit.drifted), (0, 0));
}
