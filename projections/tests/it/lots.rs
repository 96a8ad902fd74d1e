//! Lots in the views: each is a row of its own and part of its variant's.

use bincard_ledger::{Buckets, CatalogueEvent, Event, Posting, VariantNo, WarehouseNo};
use bincard_projections::catalogue::CatalogueFilter;
use bincard_projections::history::{AsOf, LotsFilter, MovementFilter};
use bincard_projections::stock::{StockFilter, StockKey, StockRow};
use bincard_projections::{Projector, Slice, ViewName, Views};

use crate::ledger::{Kept, Ledger, Random, WAREHOUSES, runtime};
use crate::naive;

/// All rows of a list.
fn all<K>() -> Slice<K> {
    Slice {
        after: None,
        skip: 0,
        limit: 10_000,
        with_total: true,
    }
}

/// The lots of the log, in the order of their numbers.
fn lots(ledger: &Ledger) -> Vec<VariantNo> {
    let created = ledger
        .events
        .iter()
        .filter_map(|recorded| match &recorded.record.event {
            Event::Catalogue(CatalogueEvent::LotCreated { no, .. }) => Some(*no),
            _ => None,
        });
    created.collect()
}

fn sum(rows: impl Iterator<Item = Buckets>) -> Buckets {
    let mut sum = Buckets::default();
    for row in rows {
        for (sum, units) in sum.0.iter_mut().zip(row.0) {
            *sum += units;
        }
    }
    sum
}

async fn stock(views: &Views, ledger: &Ledger, variant: VariantNo, in_lots: bool) -> Vec<StockRow> {
    let filter = StockFilter {
        warehouses: None,
        variant: Some(variant),
        in_lots,
    };
    views
        .stock_page(&filter, all(), ledger.now)
        .await
        .unwrap()
        .value
        .rows
}

async fn check(ledger: &Ledger, projector: &Projector) {
    let views = ledger.settled(projector).await;
    let (lots, lotted) = (lots(ledger), ledger.lotted());
    assert!(lots.len() > 2, "{lots:?}");
    // Each lot is a row, and its variant the sum of them; the list of variants has no lots in it.
    let of_lots = stock(&views, ledger, lotted, true).await;
    let whole = stock(&views, ledger, lotted, false).await;
    for no in 1..=WAREHOUSES {
        let here = |row: &&StockRow| row.key.warehouse == WarehouseNo(no);
        for row in of_lots.iter().filter(here) {
            let available = ledger
                .state
                .available_at(WarehouseNo(no), row.key.variant, ledger.now);
            assert_eq!(row.buckets.available(), available);
            let on_hand = ledger.state.buckets(WarehouseNo(no), row.key.variant).on_hand();
            assert_eq!(row.buckets.on_hand(), on_hand);
        }
        let parts = sum(of_lots.iter().filter(here).map(|row| row.buckets));
        assert_eq!(sum(whole.iter().filter(here).map(|row| row.buckets)), parts);
        let key = StockKey {
            warehouse: WarehouseNo(no),
            variant: lotted,
        };
        let refolded = views.refold_stock(&ledger.reader, key).await.unwrap();
        assert!(!refolded.was_repaired, "{refolded:?}");
    }
    let everything = StockFilter::default();
    let listed = views
        .stock_page(&everything, all(), ledger.now)
        .await
        .unwrap()
        .value;
    assert!(listed.rows.iter().all(|row| !lots.contains(&row.key.variant)));
    // Movements stand under the variant, each with its lot, and lead to what is there.
    let filter = MovementFilter {
        variant: Some(lotted),
        ..MovementFilter::default()
    };
    let found = views.movements(&filter, false, all()).await.unwrap().value;
    let mut told: Vec<_> = found
        .rows
        .iter()
        .map(|row| (row.position, row.line, row.lot))
        .collect();
    told.sort_unstable();
    let mut moved = Vec::new();
    for recorded in &ledger.events {
        if let Event::Stock(event) = &recorded.record.event {
            let of_a_lot = |posting: &&Posting| lots.contains(&posting.variant);
            for (line, posting) in (0u16..)
                .zip(&event.postings)
                .filter(|(_, posting)| of_a_lot(posting))
            {
                moved.push((recorded.position, line, Some(posting.variant)));
            }
        }
    }
    assert_eq!(told, moved);
    check_past(ledger, &views, &lots).await;
    let catalogue = CatalogueFilter {
        variant: Some(lotted),
        ..CatalogueFilter::default()
    };
    let rows = views.lots(&catalogue, all()).await.unwrap().value.rows;
    assert_eq!(rows.iter().map(|row| row.no).collect::<Vec<_>>(), lots);
    for row in rows {
        let lot = ledger.state.variant(row.no).unwrap();
        assert_eq!((row.variant, &*row.code), (lotted, &*lot.sku));
        assert_eq!((row.expires_at, row.active), (lot.expires_at, lot.active));
    }
    let verified = ledger.verify(&ViewName::ALL).await;
    assert!(verified.iter().all(|one| one.is_well()));
}

/// What each lot had at any instant, by what is known now and by what was known then.
async fn check_past(ledger: &Ledger, views: &Views, lots: &[VariantNo]) {
    let instants: Vec<_> = ledger.events.iter().step_by(37).collect();
    for (index, recorded) in instants.iter().enumerate() {
        let other = instants[instants.len() - 1 - index].recorded_at;
        let at = Some(recorded.recorded_at);
        for (as_of, known_at) in [(at, None), (None, at), (at, Some(other))] {
            let past = AsOf { as_of, known_at };
            let mut expected = Vec::new();
            for warehouse in (1..=WAREHOUSES).map(WarehouseNo) {
                for &variant in lots {
                    let key = StockKey { warehouse, variant };
                    if naive::has_moved(&ledger.events, key, past) {
                        expected.push((key, naive::as_of(&ledger.events, key, past)));
                    }
                }
            }
            let filter = |lot, warehouses| LotsFilter {
                warehouses,
                variant: ledger.lotted(),
                lot,
            };
            let ask = async |filter: LotsFilter| {
                let page = views.lots_as_of_page(&filter, past, all()).await.unwrap().value;
                assert_eq!(page.total, Some(page.rows.len() as u64));
                let rows = page.rows.iter().map(|row| (row.key, row.buckets));
                rows.collect::<Vec<_>>()
            };
            assert_eq!(ask(filter(None, None)).await, expected, "{past:?}");
            let (lot, here) = (lots[0], WarehouseNo(1));
            expected.retain(|(key, _)| key.variant == lot && key.warehouse == here);
            assert_eq!(
                ask(filter(Some(lot), Some(vec![here]))).await,
                expected,
                "{past:?}"
            );
        }
    }
}

#[test]
fn lots_are_told_apart_and_added_up_and_still_are_after_a_restart_and_a_rebuild() {
    for kept in Kept::BOTH {
        let mut ledger = Ledger::with_catalogue().kept(kept);
        let mut random = Random::new(77);
        ledger.grow(&mut random, 100);
        ledger.grow_lots(&mut random, 150);
        let projector = ledger.project();
        runtime().block_on(check(&ledger, &projector));
        projector.close();
        ledger.grow_lots(&mut random, 150);
        let projector = ledger.project();
        runtime().block_on(async {
            check(&ledger, &projector).await;
            for view in ViewName::ALL {
                let rebuild = projector.views().rebuild(view).await.unwrap();
                rebuild.finished().await.unwrap();
            }
            check(&ledger, &projector).await;
        });
        projector.close();
    }
}
