//! `bincard history`: how a variant's stock came to be what it is.

use clap::Args;

use crate::asking::Where;
use crate::config::Config;
use crate::listing::{Column, Format, Listing};

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct History {
    /// The variant
    #[arg(value_name = "SKU")]
    sku: String,
    /// Only of the variant's lot with this code
    #[arg(long, value_name = "CODE")]
    lot: Option<String>,
    /// Only at the warehouse with this code
    #[arg(long, value_name = "CODE")]
    warehouse: Option<String>,
    /// Only what occurred at this instant or later, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// Only what occurred at this instant or earlier
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// The newest so many movements
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// How to write it [default: a table on a terminal, csv elsewhere]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    at: Where,
}

const COLUMNS: &[Column] = &[
    Column::text("occurred at", "/occurredAt"),
    Column::text("warehouse", "/warehouseCode"),
    Column::text("type", "/type"),
    Column::text("reason", "/reasonCode"),
    Column::optional("lot", "/lot"),
    Column::text("from", "/from"),
    Column::text("to", "/to"),
    Column::number("quantity", "/quantity"),
    Column::number("on hand", "/after/onHand"),
    Column::number("available", "/after/available"),
    Column::text("event", "/eventId"),
];

impl History {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let listing = Listing {
            path: "/api/v1/movements",
            columns: COLUMNS,
            warehouse: self.warehouse,
            query: vec![
                ("sku", Some(self.sku)),
                ("lot", self.lot),
                ("occurredFrom", self.from),
                ("occurredTo", self.to),
            ],
            rows_max: self.limit.unwrap_or(usize::MAX),
        };
        super::block_on(listing.write(config, &self.at, self.format))
    }
}
