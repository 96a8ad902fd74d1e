//! The bench of the read side at small size, against the real binary.

use bincard_benches::{Size, views};
use bincard_testkit::server::bincard_binary;

#[test]
fn the_whole_bench_runs_at_small_size_and_the_views_are_right() {
    let plan = views::Plan::of(Size::Small, None);
    let tables = views::run(plan, &bincard_binary().unwrap()).unwrap();
    let names: Vec<Vec<&str>> = tables
        .iter()
        .map(|table| table.rows().iter().map(|row| row.name.as_str()).collect())
        .collect();
    assert_eq!(
        names,
        [
            vec![
                views::RIVAL_ROW,
                views::CATCH_UP_ROW,
                "stock built anew, events a second",
                "history built anew, events a second",
                "catalogue built anew, events a second",
                "reservations built anew, events a second",
                "exceptions built anew, events a second",
                "transfers built anew, events a second",
                "counts built anew, events a second",
            ],
            vec![
                views::ONE_ROW,
                "the same, asOf",
                "the same, knownAt",
                "the same, both",
                "one row of a long history",
                "the same, asOf",
                "the same, knownAt",
                "the same, both",
                "GET /stock, first page of 20",
                views::FIRST_PAGE_ROW,
                "second page of 20 events, by cursor",
                views::DEEP_PAGE_ROW,
                "events of one variant, first page of 20",
            ],
        ]
    );
    assert!(
        tables
            .iter()
            .flat_map(|table| table.rows())
            .all(|row| row.per_second > 0.0)
    );
}
