//! Every query against a naive filter or fold over the same events.

use std::time::Duration;

use bincard_ledger::{
    CatalogueEvent, Event, Kind, Position, ProductNo, Reason, Recorded, Timestamp, VariantNo, WarehouseNo,
};
use bincard_projections::catalogue::{CatalogueFilter, Search, VariantRow};
use bincard_projections::history::{
    AsOf, EventCursor, EventFilter, EventOrder, EventRow, EventSort, EventStart, MovementFilter,
};
use bincard_projections::stock::{StockFilter, StockKey, StockRow};
use bincard_projections::{Error, Slice, ViewName, Views};
use proptest::prelude::*;

use crate::ledger::{HOUR, Kept, Ledger, MINUTE, Random, VARIANTS, WAREHOUSES, runtime};
use crate::naive;

pub(crate) fn all<K>() -> Slice<K> {
    Slice {
        after: None,
        skip: 0,
        limit: 10_000,
        with_total: true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_what_a_naive_look_at_all_events_gives(seed: u64, before in 0usize..200, after in 50usize..500) {
        for kept in Kept::BOTH {
            let mut random = Random::new(seed);
            let mut ledger = Ledger::with_catalogue().kept(kept);
            ledger.grow(&mut random, before);
            let projector = ledger.project();
            ledger.grow(&mut random, after);
            runtime().block_on(async {
                let views = ledger.settled(&projector).await;
                check_stock(&ledger, &views).await;
                check_past(&ledger, &views, &mut random).await;
                check_movements(&ledger, &views).await;
                check_all_movements(&ledger, &views).await;
                check_catalogue(&ledger, &views).await;
            });
            projector.close();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, ..ProptestConfig::default() })]

    #[test]
    fn events_are_listed_as_filtered_sorted_and_paged(seed: u64) {
        for kept in Kept::BOTH {
            let mut random = Random::new(seed);
            let mut ledger = Ledger::with_catalogue().kept(kept);
            ledger.grow(&mut random, 250);
            let projector = ledger.project();
            runtime().block_on(async {
                let views = ledger.settled(&projector).await;
                for filter in event_filters(&ledger.events) {
                    for sort in sorts() {
                        check_events(&ledger.events, &views, &filter, sort, &mut random).await;
                    }
                }
            });
            projector.close();
        }
    }
}

pub(crate) fn sorts() -> Vec<EventSort> {
    let orders = [EventOrder::OccurredAt, EventOrder::RecordedAt];
    orders
        .into_iter()
        .flat_map(|order| [true, false].map(|descending| EventSort { order, descending }))
        .collect()
}

/// Every combination of filters, with windows that cut days in the middle.
fn event_filters(events: &[Recorded]) -> Vec<EventFilter> {
    let mut times: Vec<Timestamp> = naive::stock_events(events)
        .map(|(_, event)| event.occurred_at)
        .collect();
    times.sort_unstable();
    let (early, late) = (times[times.len() / 5], times[times.len() * 4 / 5]);
    let windows = [
        (None, None),
        (Some(early), None),
        (None, Some(late)),
        (Some(early), Some(late)),
        (Some(late), Some(late)),
        (Some(late), Some(early)),
    ];
    let kinds = [
        None,
        Some(vec![Kind::Inbound]),
        Some(vec![Kind::Hold, Kind::Release]),
        Some(vec![]),
    ];
    let warehouses = [
        None,
        Some(vec![WarehouseNo(1)]),
        Some(vec![WarehouseNo(3), WarehouseNo(2)]),
        Some(vec![]),
    ];
    let mut filters = Vec::new();
    for (occurred_from, occurred_to) in windows {
        for kinds in &kinds {
            for warehouses in &warehouses {
                for variant in [None, Some(VariantNo(2))] {
                    for reason in [None, Some(Reason::Other)] {
                        let (kinds, warehouses) = (kinds.clone(), warehouses.clone());
                        filters.push(EventFilter {
                            kinds,
                            warehouses,
                            variant,
                            reason,
                            occurred_from,
                            occurred_to,
                        });
                    }
                }
            }
        }
    }
    filters
}

pub(crate) async fn check_events(
    all: &[Recorded],
    views: &Views,
    filter: &EventFilter,
    sort: EventSort,
    random: &mut Random,
) {
    let expected = naive::events(all, filter, sort);
    let answer = views
        .events(filter, sort, EventStart::Skip(0), 100_000, true)
        .await
        .unwrap();
    let context = format!("{filter:?} {sort:?}");
    assert_eq!(answer.value.rows, expected, "{context}");
    assert_eq!(answer.value.total, Some(expected.len() as u64), "{context}");
    assert_eq!(answer.value.next, None, "{context}");
    let size = random.pick(&[1, 7, 20]).max(expected.len() / 6);
    let mut start = EventStart::Skip(0);
    let mut by_cursor: Vec<EventRow> = Vec::new();
    loop {
        let page = views
            .events(filter, sort, start, size, false)
            .await
            .unwrap()
            .value;
        assert!(page.next.is_none() || page.rows.len() == size, "{context}");
        let last = page.rows.last().map(|row| EventCursor {
            occurred_at: row.occurred_at,
            position: row.position,
        });
        assert!(page.next.is_none() || page.next == last, "{context}");
        by_cursor.extend(page.rows);
        match page.next {
            Some(cursor) => start = EventStart::After(cursor),
            None => break,
        }
    }
    assert_eq!(by_cursor, expected, "{context} by cursor, {size} a page");
    for _ in 0..2 {
        let skip = random.below(expected.len() as u64 + 2) as usize;
        let page = views
            .events(filter, sort, EventStart::Skip(skip as u64), size, false)
            .await
            .unwrap()
            .value;
        let part = &expected[skip.min(expected.len())..(skip + size).min(expected.len())];
        assert_eq!(page.rows, part, "{context} after {skip}, {size} a page");
        assert_eq!(
            page.next.is_some(),
            skip + size < expected.len(),
            "{context} after {skip}, {size} a page"
        );
    }
}

pub(crate) async fn check_stock(ledger: &Ledger, views: &Views) {
    let none = StockFilter::default();
    for later in [-100 * HOUR, 0, 30 * MINUTE, 3 * HOUR, 1_000 * HOUR] {
        let now = ledger.now.saturating_add_micros(later);
        let expected = naive::stock_rows(&ledger.events, now);
        let answer = views.stock_page(&none, all(), now).await.unwrap();
        assert_eq!(answer.position, ledger.head());
        assert_eq!(answer.value.rows, expected, "{later} µs from now");
        assert_eq!(answer.value.total, Some(expected.len() as u64));
        for row in &expected {
            let answer = views.stock_row(row.key, now).unwrap();
            assert_eq!((answer.position, answer.value), (ledger.head(), Some(*row)));
        }
    }
    let unknown = StockKey {
        warehouse: WarehouseNo(1),
        variant: VariantNo(99),
    };
    assert_eq!(views.stock_row(unknown, ledger.now).unwrap().value, None);
    let expected = naive::stock_rows(&ledger.events, ledger.now);
    for warehouses in [
        None,
        Some(vec![]),
        Some(vec![WarehouseNo(2)]),
        Some(vec![WarehouseNo(3), WarehouseNo(1)]),
    ] {
        for variant in [None, Some(VariantNo(3))] {
            let filter = StockFilter {
                in_lots: false,
                warehouses: warehouses.clone(),
                variant,
            };
            let passes = |row: &&StockRow| {
                filter
                    .warehouses
                    .as_ref()
                    .is_none_or(|list| list.contains(&row.key.warehouse))
                    && filter.variant.is_none_or(|variant| row.key.variant == variant)
            };
            let expected: Vec<StockRow> = expected.iter().filter(passes).copied().collect();
            let mut slice = Slice { limit: 2, ..all() };
            let mut rows = Vec::new();
            loop {
                let page = views.stock_page(&filter, slice, ledger.now).await.unwrap().value;
                assert_eq!(page.total, Some(expected.len() as u64));
                slice.after = page.rows.last().map(|row| row.key);
                rows.extend(page.rows);
                if !page.more {
                    break;
                }
            }
            assert_eq!(rows, expected);
            let slice = Slice {
                skip: 3,
                limit: 2,
                ..all()
            };
            let page = views.stock_page(&filter, slice, ledger.now).await.unwrap().value;
            assert_eq!(
                page.rows,
                expected.iter().skip(3).take(2).copied().collect::<Vec<_>>()
            );
        }
    }
}

async fn check_past(ledger: &Ledger, views: &Views, random: &mut Random) {
    let first = ledger.events[0].recorded_at.micros() - 100 * HOUR;
    let span = (ledger.now.micros() - first + 10 * HOUR) as u64;
    let exact: Vec<Timestamp> = ledger
        .events
        .iter()
        .step_by(9)
        .map(|event| event.recorded_at)
        .chain([ledger.now])
        .collect();
    for round in 0..60 {
        let mut instant = || match random.below(4) {
            0 => random.pick(&exact),
            _ => Timestamp::from_micros(first + random.below(span) as i64),
        };
        let (a, b) = (instant(), instant());
        let past = match round % 3 {
            0 => AsOf {
                as_of: Some(a),
                known_at: None,
            },
            1 => AsOf {
                as_of: None,
                known_at: Some(b),
            },
            _ => AsOf {
                as_of: Some(a),
                known_at: Some(b),
            },
        };
        let page = views
            .stock_as_of_page(&StockFilter::default(), past, all())
            .await
            .unwrap();
        let keys: Vec<StockKey> = naive::stock(&ledger.events).into_keys().collect();
        assert_eq!(
            page.value.rows.iter().map(|row| row.key).collect::<Vec<_>>(),
            keys
        );
        assert_eq!(page.value.total, Some(keys.len() as u64));
        for row in &page.value.rows {
            assert_eq!(
                row.buckets,
                naive::as_of(&ledger.events, row.key, past),
                "{:?} {past:?}",
                row.key
            );
            assert_eq!(views.stock_as_of(row.key, past).await.unwrap().value, *row);
        }
    }
    let here = StockFilter {
        in_lots: false,
        warehouses: Some(vec![WarehouseNo(WAREHOUSES)]),
        variant: None,
    };
    let now = AsOf::default();
    let slice = Slice {
        limit: 1,
        skip: 1,
        ..all()
    };
    let page = views.stock_as_of_page(&here, now, slice).await.unwrap().value;
    assert!(
        page.rows
            .iter()
            .all(|row| row.key.warehouse == WarehouseNo(WAREHOUSES))
    );
}

/// All movements, one variant after the other, of some kinds at some warehouses, page by page.
async fn check_all_movements(ledger: &Ledger, views: &Views) {
    let all_rows: Vec<_> = (1..=VARIANTS)
        .flat_map(|no| naive::movements(&ledger.events, VariantNo(no)))
        .collect();
    for (kinds, warehouses) in [
        (None, None),
        (Some(vec![Kind::Outbound, Kind::Adjust]), None),
        (Some(vec![Kind::Inbound]), Some(vec![WarehouseNo(2)])),
    ] {
        let mut expected = all_rows.clone();
        let has = |list: &Option<Vec<Kind>>, kind| list.as_ref().is_none_or(|list| list.contains(&kind));
        expected.retain(|row| {
            let at = |list: &Vec<WarehouseNo>| list.contains(&row.key.warehouse);
            has(&kinds, row.kind) && warehouses.as_ref().is_none_or(at)
        });
        let filter = MovementFilter {
            kinds,
            warehouses,
            ..MovementFilter::default()
        };
        for descending in [false, true] {
            let mut slice = Slice { limit: 7, ..all() };
            let mut rows = Vec::new();
            loop {
                let page = views.movements(&filter, descending, slice).await.unwrap().value;
                assert_eq!(page.total, Some(expected.len() as u64));
                rows.extend(page.rows);
                slice.after = page.next;
                if page.next.is_none() {
                    break;
                }
            }
            assert_eq!(rows, expected);
            expected.reverse();
        }
    }
}

pub(crate) async fn check_movements(ledger: &Ledger, views: &Views) {
    for variant in (1..=VARIANTS).map(VariantNo) {
        let expected = naive::movements(&ledger.events, variant);
        let middle = expected.get(expected.len() / 2).map(|row| row.occurred_at);
        for warehouses in [
            None,
            Some(vec![WarehouseNo(1)]),
            Some(vec![WarehouseNo(1), WarehouseNo(2)]),
        ] {
            for (occurred_from, occurred_to) in [(None, None), (middle, None), (None, middle)] {
                let filter = MovementFilter {
                    variant: Some(variant),
                    lot: None,
                    kinds: None,
                    warehouses: warehouses.clone(),
                    occurred_from,
                    occurred_to,
                };
                let mut expected = expected.clone();
                expected.retain(|row| {
                    filter
                        .warehouses
                        .as_ref()
                        .is_none_or(|list| list.contains(&row.key.warehouse))
                        && occurred_from.is_none_or(|from| row.occurred_at >= from)
                        && occurred_to.is_none_or(|to| row.occurred_at <= to)
                });
                for descending in [false, true] {
                    let mut slice = Slice { limit: 9, ..all() };
                    let mut rows = Vec::new();
                    loop {
                        let page = views.movements(&filter, descending, slice).await.unwrap().value;
                        assert_eq!(page.total, Some(expected.len() as u64));
                        rows.extend(page.rows);
                        slice.after = page.next;
                        if page.next.is_none() {
                            break;
                        }
                    }
                    assert_eq!(rows, expected);
                    expected.reverse();
                }
            }
        }
        let mut in_order = expected.clone();
        in_order.sort_by_key(|row| (row.key, row.position, row.line));
        for pair in in_order.windows(2).filter(|pair| pair[0].key == pair[1].key) {
            assert_eq!(pair[1].before(), pair[0].after);
        }
    }
}

/// The variants, folded naively.
pub(crate) fn variants(events: &[Recorded]) -> Vec<VariantRow> {
    let mut rows: Vec<VariantRow> = Vec::new();
    for recorded in events {
        let Event::Catalogue(event) = &recorded.record.event else {
            continue;
        };
        let (position, at) = (recorded.position, recorded.recorded_at);
        match event {
            CatalogueEvent::VariantCreated {
                no,
                sku,
                name,
                product,
                expires_at,
                tracks_lots,
            } => rows.push(VariantRow {
                tracks_lots: *tracks_lots,
                no: *no,
                sku: sku.to_string(),
                name: name.to_string(),
                product: *product,
                expires_at: *expires_at,
                active: true,
                created: position,
                created_at: at,
                changed: position,
                changed_at: at,
            }),
            CatalogueEvent::VariantChanged { no, .. }
            | CatalogueEvent::VariantActivated(no)
            | CatalogueEvent::VariantDeactivated(no) => {
                let row = &mut rows[no.0 as usize - 1];
                (row.changed, row.changed_at) = (position, at);
                if let CatalogueEvent::VariantChanged {
                    sku,
                    name,
                    product,
                    expires_at,
                    ..
                } = event
                {
                    row.sku = sku.as_deref().map_or(row.sku.clone(), str::to_owned);
                    row.name = name.as_deref().map_or(row.name.clone(), str::to_owned);
                    row.product = product.unwrap_or(row.product);
                    row.expires_at = expires_at.unwrap_or(row.expires_at);
                } else {
                    row.active = matches!(event, CatalogueEvent::VariantActivated(_));
                }
            }
            _ => {}
        }
    }
    rows
}

pub(crate) async fn check_catalogue(ledger: &Ledger, views: &Views) {
    let rows = variants(&ledger.events);
    let listed = views.variants(&CatalogueFilter::default(), all()).await.unwrap();
    assert_eq!(listed.position, ledger.head());
    assert_eq!(listed.value.rows, rows);
    let search = |text: &str| Some(Search::Anywhere(text.into()));
    let filters = [
        CatalogueFilter {
            search: search("sku"),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            search: search("GRÖSSE"),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            search: search("größe"),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            search: search("änder"),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            search: search("0%"),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            search: search("_"),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            search: Some(Search::Prefix("new_".into())),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            product: Some(ProductNo(1)),
            active: Some(true),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            active: Some(false),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            numbers: Some(vec![2, 4, 999]),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            numbers: Some(vec![]),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            code: Some("SKU-1".into()),
            ..CatalogueFilter::default()
        },
        CatalogueFilter {
            code: Some("sku-1".into()),
            ..CatalogueFilter::default()
        },
    ];
    for filter in filters {
        let passes = |row: &&VariantRow| {
            let texts = [row.sku.to_lowercase(), row.name.to_lowercase()];
            filter.search.as_ref().is_none_or(|search| match search {
                Search::Anywhere(text) => texts.iter().any(|own| own.contains(&text.to_lowercase())),
                Search::Prefix(text) => texts.iter().any(|own| own.starts_with(&text.to_lowercase())),
            }) && filter.active.is_none_or(|active| row.active == active)
                && filter.product.is_none_or(|product| row.product == Some(product))
                && filter
                    .numbers
                    .as_ref()
                    .is_none_or(|numbers| numbers.contains(&row.no.0))
                && filter.code.as_ref().is_none_or(|code| row.sku == *code)
        };
        let expected: Vec<VariantRow> = rows.iter().filter(passes).cloned().collect();
        let mut slice = Slice { limit: 2, ..all() };
        let mut found = Vec::new();
        loop {
            let page = views.variants(&filter, slice).await.unwrap().value;
            assert_eq!(page.total, Some(expected.len() as u64), "{filter:?}");
            slice.after = page.rows.last().map(|row| row.no.0);
            found.extend(page.rows);
            if !page.more {
                break;
            }
        }
        assert_eq!(found, expected, "{filter:?}");
    }
    let warehouses = views
        .warehouses(&CatalogueFilter::default(), all())
        .await
        .unwrap()
        .value
        .rows;
    let changed = ledger
        .events
        .iter()
        .rev()
        .find_map(|recorded| match &recorded.record.event {
            Event::Catalogue(CatalogueEvent::WarehouseChanged {
                no: WarehouseNo(1),
                code: Some(code),
                name: Some(name),
            }) => Some((code.to_string(), name.to_string(), recorded.position)),
            _ => None,
        });
    let first = &warehouses[0];
    let expected = changed.unwrap_or(("WH-1".into(), "Lager 1".into(), Position(1)));
    assert_eq!((first.code.clone(), first.name.clone(), first.changed), expected);
    assert_eq!(warehouses.len(), WAREHOUSES as usize);
    let products = views
        .products(&CatalogueFilter::default(), all())
        .await
        .unwrap()
        .value;
    let created = |recorded: &&Recorded| {
        matches!(
            &recorded.record.event,
            Event::Catalogue(CatalogueEvent::ProductCreated { .. })
        )
    };
    assert_eq!(
        products.total,
        Some(ledger.events.iter().filter(created).count() as u64)
    );
}

#[test]
fn waiting_ends_when_the_position_is_served_or_the_time_is_over() {
    for kept in Kept::BOTH {
        let mut ledger = Ledger::with_catalogue().kept(kept);
        let projector = ledger.project();
        let views = projector.views().clone();
        runtime().block_on(async {
            let next = ledger.head().next();
            let short = Duration::from_millis(30);
            let early = views.wait_for(&[ViewName::History], next, short).await;
            assert!(
                matches!(early, Err(Error::Behind { view: ViewName::History, wanted, .. }) if wanted == next)
            );
            ledger.receive(1, 1, 5);
            let waiting = views.clone();
            let waiter = tokio::spawn(async move {
                waiting
                    .wait_for(&ViewName::ALL, next, Duration::from_secs(30))
                    .await
            });
            ledger.commit();
            waiter.await.unwrap().unwrap();
            let key = StockKey {
                warehouse: WarehouseNo(1),
                variant: VariantNo(1),
            };
            let answer = views.stock_row(key, ledger.now).unwrap();
            assert_eq!(
                (answer.position, answer.value.unwrap().buckets.available()),
                (next, 5)
            );
        });
        projector.close();
    }
}
