//! A stopped ledger, read through its log and views: what tests hold the binary's work against.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bincard_ledger::{CatalogueEvent, Event, Position, Recorded, Timestamp, VariantNo, WarehouseNo};
use bincard_projections::history::AsOf;
use bincard_projections::stock::{StockFilter, StockKey};
use bincard_projections::{Projector, Slice, ViewName};
use bincard_store::OpenError;
use bincard_store::Reader;
use bincard_store::disk::RealDisk;
use bincard_store::segment::{Log, Opened, Options};

/// A ledger that is open for reading.
pub(crate) struct Ledger {
    reader: Reader,
    /// Holds the lock, as a server would.
    _opened: bincard_store::segment::Appender,
    folder: std::path::PathBuf,
}

impl Ledger {
    pub(crate) fn open(data: &Path) -> Ledger {
        let folder = data.join("ledgers/default");
        let began = Instant::now();
        // A process that another test starts holds a copy of this lock until it has become the binary.
        let opened = loop {
            match Log::open(Arc::new(RealDisk), &folder, Options::default()) {
                Err(OpenError::Locked { .. }) if began.elapsed() < Duration::from_secs(60) => {}
                opened => break opened,
            }
        };
        let Opened { reader, appender, .. } = opened.expect("the ledger opens");
        Ledger {
            reader: reader.into(),
            _opened: appender,
            folder,
        }
    }

    pub(crate) fn head(&self) -> (u64, String) {
        let head = self.reader.head();
        (head.position.0, head.hash.to_string())
    }

    pub(crate) fn events(&self) -> Vec<Recorded> {
        self.reader
            .read(Position(0), usize::MAX)
            .expect("the log is readable")
    }

    /// Names of variants by SKU.
    pub(crate) fn variant_names(&self) -> BTreeMap<String, String> {
        self.created()
            .into_iter()
            .map(|(sku, (_, name))| (sku, name))
            .collect()
    }

    fn created(&self) -> BTreeMap<String, (VariantNo, String)> {
        let created = self
            .events()
            .into_iter()
            .filter_map(|recorded| match recorded.record.event {
                Event::Catalogue(CatalogueEvent::VariantCreated { no, sku, name, .. }) => {
                    Some((sku.into(), (no, name.into())))
                }
                _ => None,
            });
        created.collect()
    }

    /// What is on hand of every SKU that ever had stock, and what was at each of `moments`: asked of the views.
    pub(crate) fn stock(&self, moments: &[(i64, String)]) -> (BTreeMap<String, i64>, Vec<i64>) {
        let variants = self.created();
        let skus: BTreeMap<VariantNo, &String> = variants.iter().map(|(sku, (no, _))| (*no, sku)).collect();
        let projector = Projector::open(&self.folder.join("views"), self.reader.clone()).expect("views open");
        let views = projector.views().clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let answered = runtime.block_on(async {
            let head = self.reader.head().position;
            views
                .wait_for(&ViewName::ALL, head, Duration::from_secs(60))
                .await
                .expect("the views catch up");
            let slice = Slice {
                after: None,
                skip: 0,
                limit: 1_000_000,
                with_total: false,
            };
            let page = views
                .stock_page(&StockFilter::default(), slice, Timestamp::MAX)
                .await
                .expect("stock");
            let rows = page.value.rows.into_iter();
            let on_hand = rows
                .map(|row| (skus[&row.key.variant].clone(), row.buckets.on_hand()))
                .collect();
            let mut past = Vec::new();
            for (micros, sku) in moments {
                let key = StockKey {
                    warehouse: WarehouseNo(1),
                    variant: variants[sku].0,
                };
                let at = AsOf {
                    as_of: Some(Timestamp::from_micros(*micros)),
                    known_at: None,
                };
                past.push(
                    views
                        .stock_as_of(key, at)
                        .await
                        .expect("stock as of")
                        .value
                        .buckets
                        .on_hand(),
                );
            }
            (on_hand, past)
        });
        projector.close();
        answered
    }
}
