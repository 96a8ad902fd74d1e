//! All stock events of a list: lines of JSON as the list has them, or CSV with a row a line of an event.

use std::sync::Arc;

use bincard_ledger::{Position, Recorded};
use bincard_projections::history::{EventFilter, EventSort, EventStart};

use super::fetch::stock_event_of;
use super::list::{gather, missing};
use super::render::{self, Author, Related, signed};
use crate::app::App;
use crate::asker::Asker;
use crate::export::{CHUNK_ROWS, Rows, Sheet};
use crate::failure::Failure;
use crate::wire::csv::Csv;
use crate::wire::spelling;

/// The events that pass a filter.
pub(super) struct Export {
    app: Arc<App>,
    asker: Asker,
    filter: EventFilter,
    sort: EventSort,
    start: EventStart,
    /// Where the view stood at the first rows. Events never change and never go, so that those up to here are what there was
    /// then, however many transactions read them.
    through: Option<Position>,
}

impl Export {
    pub(super) fn new(app: Arc<App>, asker: Asker, filter: EventFilter, sort: EventSort) -> Export {
        Export {
            app,
            asker,
            filter,
            sort,
            start: EventStart::Skip(0),
            through: None,
        }
    }
}

impl Rows for Export {
    const NAME: &'static str = "stock-events";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "type",
        "warehouseId",
        "warehouseCode",
        "occurredAt",
        "reasonCode",
        "notes",
        "createdById",
        "createdByUsername",
        "sentById",
        "createdAt",
        "orderId",
        "transferId",
        "expiresAt",
        "counterpartWarehouseId",
        "transferUuid",
        "reservationId",
        "reversesId",
        "reversedById",
        "clearsId",
        "lineId",
        "variantId",
        "variantSku",
        "lot",
        "quantity",
    ];

    async fn write_next(&mut self, sheet: &mut Sheet) -> Result<bool, Failure> {
        let views = &self.asker.open.views;
        let found = views
            .events(&self.filter, self.sort, self.start, CHUNK_ROWS, false)
            .await?;
        let through = *self.through.get_or_insert(found.position);
        let rows = found.value.rows.iter();
        let positions: Vec<Position> = rows
            .map(|row| row.position)
            .filter(|position| *position <= through)
            .collect();
        let gathered = gather(&self.app, &self.asker, &positions).await?;
        for position in positions {
            let (recorded, reversed_by, author) = gathered.at(position)?;
            let reversed_by = reversed_by.filter(|reversal| *reversal <= through);
            match sheet {
                Sheet::Ndjson(json) => {
                    let ledger = &self.asker.open.ledger;
                    render::write_recorded(json, ledger, recorded, reversed_by, &author)
                        .ok_or_else(|| missing(position))?;
                    json.raw("\n");
                }
                Sheet::Csv(csv) => self.write_csv(csv, recorded, reversed_by, &author)?,
            }
        }
        if let Some(next) = found.value.next {
            self.start = EventStart::After(next);
        }
        Ok(found.value.next.is_some())
    }

    fn position(&self) -> Position {
        self.through.unwrap_or_default()
    }
}

impl Export {
    /// A row a line; a single one of an event that moves nothing.
    fn write_csv(
        &self,
        csv: &mut Csv,
        recorded: &Recorded,
        reversed_by: Option<Position>,
        author: &Author<'_>,
    ) -> Result<(), Failure> {
        let event = stock_event_of(recorded).ok_or_else(|| missing(recorded.position))?;
        let lines: Vec<_> = signed(&event.postings).collect();
        if lines.is_empty() {
            self.write_event(csv, recorded, reversed_by, author)?;
            csv.none().none().none().none().none().end();
            return Ok(());
        }
        let (ids, names) = (self.asker.open.ledger.ids(), self.asker.open.ledger.names());
        for (index, (variant, quantity)) in (0u16..).zip(lines) {
            self.write_event(csv, recorded, reversed_by, author)?;
            let name = names.variant(variant);
            csv.uuid(ids.line(recorded.position, index))
                .uuid(ids.variant(name.as_ref().map_or(variant, |name| name.of)))
                .text(name.as_ref().map(|name| &*name.sku))
                .text(name.as_ref().and_then(|name| name.lot.as_deref()))
                .whole(quantity)
                .end();
        }
        Ok(())
    }

    /// What all rows of an event begin with.
    fn write_event(
        &self,
        csv: &mut Csv,
        recorded: &Recorded,
        reversed_by: Option<Position>,
        author: &Author<'_>,
    ) -> Result<(), Failure> {
        let event = stock_event_of(recorded).ok_or_else(|| missing(recorded.position))?;
        let (ids, names) = (self.asker.open.ledger.ids(), self.asker.open.ledger.names());
        let id_of = |position: Option<Position>| position.map(|position| ids.event(position));
        let warehouse = names.warehouse(event.warehouse);
        csv.uuid(ids.event(recorded.position))
            .word(spelling::of_kind(event.kind))
            .uuid(ids.warehouse(event.warehouse))
            .text(warehouse.as_ref().map(|name| &*name.code))
            .instant(event.occurred_at)
            .word(event.reason.map_or("", spelling::of_reason))
            .text(event.notes.as_deref())
            .uuid(author.id)
            .text(author.name)
            .uuid_or_none(author.sent_by)
            .instant(recorded.recorded_at)
            .text(event.order.as_deref())
            .text(event.transfer.as_deref());
        match event.expires_at {
            Some(at) => csv.instant(at),
            None => csv.none(),
        };
        let related = Related::of(recorded.position, event);
        csv.uuid_or_none(event.counterpart.map(|no| ids.warehouse(no)))
            .uuid_or_none(related.transfer.map(|opened| ids.transfer(opened)))
            .uuid_or_none(id_of(related.reservation))
            .uuid_or_none(id_of(related.reverses))
            .uuid_or_none(id_of(reversed_by))
            .uuid_or_none(id_of(related.clears));
        Ok(())
    }
}
