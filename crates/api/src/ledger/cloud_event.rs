//! An event as a CloudEvent (1.0, JSON, structured): what the relay sends.

use bincard_ledger::{CatalogueEvent, Event, PublicIds, Recorded, Stream};

use super::feed;
use crate::wire::json::Json;
use crate::wire::spelling;

const EVENT_BYTES: usize = 1024;

/// An event of a tenant as a CloudEvent. Its data is what the feed has of it. Positions are text outside the data, because
/// whole numbers have 32 bits there.
pub fn cloud_event(tenant: &str, ids: PublicIds, recorded: &Recorded) -> Vec<u8> {
    let record = &recorded.record;
    let mut json = Json::with_capacity(EVENT_BYTES);
    json.raw(r#"{"specversion":"1.0","id":"#)
        .uuid(ids.event(recorded.position));
    json.raw(r#","source":"#).text(&format!("/tenants/{tenant}"));
    let (family, word) = match &record.event {
        Event::Stock(event) => ("stock", spelling::of_kind(event.kind)),
        Event::Catalogue(event) => ("catalogue", of_catalogue(event)),
    };
    let word = word.to_ascii_lowercase().replace('_', "-");
    json.raw(r#","type":"#)
        .text(&format!("org.bincard.{family}.{word}.v1"));
    json.raw(r#","subject":"#);
    match record.event.stream() {
        Stream::Catalogue => json.text("catalogue"),
        Stream::Warehouse(no) => json.uuid(ids.warehouse(no)),
    };
    json.raw(r#","time":"#).instant(recorded.recorded_at);
    json.raw(r#","position":""#).whole(recorded.position.0);
    json.raw(r#"","version":""#).whole(record.version.0);
    json.raw(r#"","datacontenttype":"application/json","data":"#);
    feed::write(&mut json, ids, recorded);
    json.raw("}");
    json.into_bytes()
}

/// The feed's word for a kind of catalogue event.
pub(super) const fn of_catalogue(event: &CatalogueEvent) -> &'static str {
    use CatalogueEvent as E;
    match event {
        E::WarehouseCreated { .. } => "WAREHOUSE_CREATED",
        E::WarehouseChanged { .. } => "WAREHOUSE_CHANGED",
        E::WarehousePolicyChanged { .. } => "WAREHOUSE_POLICY_CHANGED",
        E::WarehouseActivated(_) => "WAREHOUSE_ACTIVATED",
        E::WarehouseDeactivated(_) => "WAREHOUSE_DEACTIVATED",
        E::ProductCreated { .. } => "PRODUCT_CREATED",
        E::ProductChanged { .. } => "PRODUCT_CHANGED",
        E::ProductActivated(_) => "PRODUCT_ACTIVATED",
        E::ProductDeactivated(_) => "PRODUCT_DEACTIVATED",
        E::VariantCreated { .. } => "VARIANT_CREATED",
        E::LotCreated { .. } => "LOT_CREATED",
        E::LotChanged { .. } => "LOT_CHANGED",
        E::VariantChanged { .. } => "VARIANT_CHANGED",
        E::VariantActivated(_) => "VARIANT_ACTIVATED",
        E::SlotChanged { .. } => "SLOT_CHANGED",
        E::VariantDeactivated(_) => "VARIANT_DEACTIVATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bincard_ledger::event::{Record, RecordedKey};
    use bincard_ledger::{LedgerId, Position, Timestamp, Version, WarehouseNo};
    use serde_json::{Value, json};
    use uuid::Uuid;

    #[test]
    fn a_position_above_32_bits_is_text_and_the_data_is_the_feeds() {
        let ids = PublicIds::new(LedgerId([9; 16]));
        let recorded = Recorded {
            position: Position(5_000_000_000),
            recorded_at: Timestamp::from_micros(1_700_000_000_000_000),
            record: Record {
                version: Version(7),
                author: Uuid::from_u128(1),
                on_behalf_of: None,
                key: None::<RecordedKey>,
                event: Event::Catalogue(CatalogueEvent::WarehouseActivated(WarehouseNo(3))),
            },
        };
        let event: Value = serde_json::from_slice(&cloud_event("shop", ids, &recorded)).unwrap();
        let line: Value = serde_json::from_slice(&feed::feed_line(ids, &recorded)).unwrap();
        let expected = json!({
            "specversion": "1.0",
            "id": ids.event(Position(5_000_000_000)),
            "source": "/tenants/shop",
            "type": "org.bincard.catalogue.warehouse-activated.v1",
            "subject": "catalogue",
            "time": "2023-11-14T22:13:20Z",
            "position": "5000000000",
            "version": "7",
            "datacontenttype": "application/json",
            "data": line,
        });
        assert_eq!(event, expected);
        assert_eq!(event["data"]["type"], "WAREHOUSE_ACTIVATED");
    }
}
