//! The bench over HTTP at small size, against the real binary.

use bincard_benches::{Size, http};
use bincard_testkit::server::bincard_binary;
use std::path::Path;

#[test]
fn the_whole_bench_runs_at_small_size_and_the_stock_adds_up() {
    let peer = Path::new(env!("CARGO_BIN_EXE_peer"));
    let tables = http::run(Size::Small, None, peer, &bincard_binary().unwrap()).unwrap();
    let names: Vec<Vec<&str>> = tables
        .iter()
        .map(|table| table.rows().iter().map(|row| row.name.as_str()).collect())
        .collect();
    assert_eq!(
        names,
        [
            vec![
                http::BARE_64_ROW,
                http::BARE_ROW,
                http::RIVAL_HTTP_ROW,
                "single POST, 64 connections, even",
                "single POST, 64 connections, Zipf 1.0",
                "single POST, 64 connections, Zipf 2.0",
                http::SINGLE_ROW,
                "single POST, 256 connections, Zipf 1.0",
                http::SINGLE_HOT_ROW,
                http::HALF_ROW,
            ],
            vec![
                http::RIVAL_ROW,
                http::RIVAL_HTTP_ROW,
                "bulk, 1 connection, lines a second",
                http::BULK_ROW,
                "bulk, 4 connections, no keys, lines a second",
            ],
            vec![http::BARE_64_ROW, http::BARE_READ_ROW, http::READ_ROW],
        ]
    );
    let rows = tables.iter().flat_map(|table| table.rows());
    assert!(
        rows.clone()
            .all(|row| row.per_second > 0.0 && row.latency.is_some())
    );
}
