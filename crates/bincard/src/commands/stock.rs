//! `bincard stock`: what lies where, now or at an instant.

use clap::Args;

use crate::asking::Where;
use crate::config::Config;
use crate::listing::{Column, Format, Listing};

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Stock {
    /// Only at the warehouse with this code
    #[arg(long, value_name = "CODE")]
    warehouse: Option<String>,
    /// Only of the variant with this SKU
    #[arg(long, value_name = "SKU")]
    sku: Option<String>,
    /// Only of the variant's lot with this code
    #[arg(long, requires = "sku", value_name = "CODE")]
    lot: Option<String>,
    /// A row for every lot instead of every variant
    #[arg(long, conflicts_with = "lot")]
    lots: bool,
    /// By what had occurred by this instant, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
    /// By what had been recorded by this instant
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<String>,
    /// How to write it [default: a table on a terminal, csv elsewhere]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    at: Where,
}

const COLUMNS: &[Column] = &[
    Column::text("warehouse", "/warehouseCode"),
    Column::text("SKU", "/variantSku"),
    Column::optional("lot", "/lot"),
    Column::number("on hand", "/onHand"),
    Column::number("available", "/available"),
    Column::number("reserved", "/reserved"),
    Column::number("picked", "/picked"),
    Column::number("packed", "/packed"),
    Column::number("held", "/held"),
];

impl Stock {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let listing = Listing {
            path: "/api/v1/stock",
            columns: COLUMNS,
            warehouse: self.warehouse,
            query: vec![
                ("sku", self.sku),
                ("lot", self.lot),
                ("lots", self.lots.then(|| "true".to_owned())),
                ("asOf", self.as_of),
                ("knownAt", self.known_at),
            ],
            rows_max: usize::MAX,
        };
        super::block_on(listing.write(config, &self.at, self.format))
    }
}
