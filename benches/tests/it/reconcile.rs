//! The bench of reconciliations at small size, against the real binary.

use bincard_benches::{Size, reconcile};
use bincard_testkit::server::bincard_binary;

#[test]
fn the_whole_bench_runs_at_small_size_and_the_views_agree() {
    let plan = reconcile::Plan::of(Size::Small, None);
    let tables = reconcile::run(plan, Some(&bincard_binary().unwrap())).unwrap();
    let rows =
        |table: usize| -> Vec<&str> { tables[table].rows().iter().map(|row| row.name.as_str()).collect() };
    assert_eq!(
        rows(0),
        [reconcile::STATE_ROW, reconcile::FOLD_ROW, reconcile::ROWS_ROW]
    );
    assert_eq!(
        rows(1),
        [
            reconcile::WRITERS_ROW,
            reconcile::BESIDE_ROW,
            reconcile::HALF_ROW,
            reconcile::HALF_BESIDE_ROW,
        ]
    );
    assert!(
        tables
            .iter()
            .flat_map(|table| table.rows())
            .all(|row| row.per_second > 0.0)
    );
}
