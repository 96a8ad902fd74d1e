//! The bytes of a command that its fingerprint is taken of. They are stored nowhere, but hashes of them are, for ever: so a
//! command that could be asked for once has the same bytes in every later program.
//!
//! Two requests that differ have bytes that differ. Behind the command stands in whose name it is asked for, which begins
//! with 0 or 1: so what may or may not stand at a command's end begins with another byte.

use super::{
    CatalogueCommand, ClearCommand, CloseCommand, Command, Conditions, CountCommand, CountStep,
    ExtendCommand, FoundLine, LineLot, RecallCommand, ReceiveCommand, ReverseCommand, StockCommand,
};
use crate::codec::Writer;
use crate::event::SlotChange;
use crate::id::{Position, ProductNo, Version};
use crate::policy::NegativeStock;
use crate::time::Timestamp;

// The first byte says what is asked for: 0 housekeeping, below 64 a movement of the kind with this code, and from there
// on the others.
const EXPIRE_DUE: u8 = 0;
const CREATE_WAREHOUSE: u8 = 65;
const CHANGE_WAREHOUSE: u8 = 66;
const CREATE_PRODUCT: u8 = 67;
const CHANGE_PRODUCT: u8 = 68;
const CREATE_VARIANT: u8 = 69;
const CHANGE_VARIANT: u8 = 70;
const EXTEND: u8 = 71;
const REVERSE: u8 = 72;
const RECEIVE: u8 = 77;
const CLOSE: u8 = 78;
const CHANGE_SLOT: u8 = 80;
const CLEAR: u8 = 73;
const OPEN_COUNT: u8 = 84;
const SUBMIT_COUNT: u8 = 85;
const APPROVE_COUNT: u8 = 86;
const CANCEL_COUNT: u8 = 87;
const CHANGE_LOT: u8 = 92;
const RECALL: u8 = 93;
const RELEASE_LOT: u8 = 94;

// What a stock command says beyond what all of them can.
const RESERVATION: u8 = 2;
const PARTIAL: u8 = 3;
const CONDITIONS: u8 = 4;
const COUNTERPART: u8 = 5;
const WAREHOUSE_CHOSEN: u8 = 16;
// What a catalogue command says beyond that.
const NEGATIVE_STOCK: u8 = 7;
const LOTS: u8 = 9;

// What a variant's creation and change say beyond what all of them can.
const TRACKS_LOTS: u8 = 2;

impl Command {
    pub(super) fn write_canonical(&self, w: &mut Writer) {
        match self {
            Command::Stock(command) => command.write_canonical(w),
            Command::Extend(command) => command.write_canonical(w),
            Command::Reverse(command) => command.write_canonical(w),
            Command::Receive(command) => command.write_canonical(w),
            Command::Close(command) => command.write_canonical(w),
            Command::Clear(command) => command.write_canonical(w),
            Command::Count(command) => command.write_canonical(w),
            Command::Recall(command) => command.write_canonical(w),
            Command::Catalogue(command) => command.write_canonical(w),
            Command::CatalogueAt(version, command) => {
                command.write_canonical(w);
                write_version(w, Some(*version));
            }
            Command::ExpireDue { reservations_max } => {
                w.u8(EXPIRE_DUE);
                w.varint(*reservations_max as u64);
            }
        }
    }
}

impl StockCommand {
    fn write_canonical(&self, w: &mut Writer) {
        w.u8(self.kind.code());
        // Which one the server chose is not what was asked for; and no warehouse has the number 0.
        let warehouse = if self.is_warehouse_chosen {
            0
        } else {
            self.warehouse.0
        };
        w.varint(u64::from(warehouse));
        w.optional(self.occurred_at.as_ref(), |w, at| w.signed(at.micros()));
        w.optional(self.reason.as_ref(), |w, reason| w.u8(reason.code()));
        w.optional(self.order.as_ref(), |w, order| w.text(order));
        w.optional(self.transfer.as_ref(), |w, transfer| w.text(transfer));
        w.optional(self.expires_at.as_ref(), |w, at| w.signed(at.micros()));
        w.optional(self.release_from.as_ref(), |w, bucket| w.u8(*bucket as u8));
        w.optional(self.notes.as_ref(), |w, notes| w.text(notes));
        w.varint(self.lines.len() as u64);
        for line in &self.lines {
            w.varint(u64::from(line.variant.0));
            w.signed(line.quantity);
        }
        self.write_more(w);
    }

    /// What commands could not say from the first day stands behind the rest, and only where it is said.
    fn write_more(&self, w: &mut Writer) {
        if let Some(Position(position)) = self.reservation {
            w.u8(RESERVATION);
            w.varint(position);
        }
        if self.is_partial {
            w.u8(PARTIAL);
        }
        if self.is_warehouse_chosen {
            w.u8(WAREHOUSE_CHOSEN);
        }
        if let Some(Conditions { version, available }) = self.conditions.as_deref() {
            w.u8(CONDITIONS);
            w.optional(version.as_ref(), |w, version| w.varint(version.0));
            w.varint(available.len() as u64);
            for (variant, units) in available {
                w.varint(u64::from(variant.0));
                w.signed(*units);
            }
        }
        if let Some(warehouse) = self.counterpart {
            w.u8(COUNTERPART);
            w.varint(u64::from(warehouse.0));
        }
        write_lots(w, &self.lots);
    }
}

/// Lots stand behind the rest, and only where there are any.
fn write_lots(w: &mut Writer, lots: &[LineLot]) {
    if lots.is_empty() {
        return;
    }
    w.u8(LOTS);
    w.varint(lots.len() as u64);
    for lot in lots {
        w.varint(lot.line as u64);
        w.text(&lot.code);
        w.optional(lot.expires_at.as_ref(), |w, at| w.signed(at.micros()));
    }
}

impl ExtendCommand {
    fn write_canonical(&self, w: &mut Writer) {
        w.u8(EXTEND);
        w.varint(u64::from(self.warehouse.0));
        w.text(&self.order);
        w.varint(self.reservation.0);
        w.optional(self.expires_at.as_ref(), |w, at| w.signed(at.micros()));
        w.optional(self.notes.as_ref(), |w, notes| w.text(notes));
        write_version(w, self.version);
    }
}

impl ReverseCommand {
    /// The event itself, and when it was recorded, is what its position says.
    fn write_canonical(&self, w: &mut Writer) {
        w.u8(REVERSE);
        w.varint(self.position.0);
        w.text(&self.asked_as);
        w.optional(self.notes.as_ref(), |w, notes| w.text(notes));
        write_version(w, self.version);
    }
}

/// The one condition of a command that moves no line of its own; behind the rest, as all conditions.
fn write_version(w: &mut Writer, version: Option<Version>) {
    if let Some(Version(version)) = version {
        w.u8(CONDITIONS);
        w.varint(version);
    }
}

impl ReceiveCommand {
    fn write_canonical(&self, w: &mut Writer) {
        w.u8(RECEIVE);
        w.varint(self.transfer.0);
        w.varint(u64::from(self.warehouse.0));
        w.optional(self.occurred_at.as_ref(), |w, at| w.signed(at.micros()));
        w.optional(self.notes.as_ref(), |w, notes| w.text(notes));
        w.varint(self.lines.len() as u64);
        for line in &self.lines {
            w.varint(u64::from(line.variant.0));
            for units in [line.received, line.damaged, line.short] {
                w.signed(units);
            }
        }
        write_lots(w, &self.lots);
        write_version(w, self.version);
    }
}

impl CloseCommand {
    fn write_canonical(&self, w: &mut Writer) {
        w.u8(CLOSE);
        w.varint(self.transfer.0);
        w.u8(self.reason.code());
        w.optional(self.notes.as_ref(), |w, notes| w.text(notes));
        write_version(w, self.version);
    }
}

impl ClearCommand {
    fn write_canonical(&self, w: &mut Writer) {
        w.u8(CLEAR);
        w.varint(u64::from(self.warehouse.0));
        w.varint(self.exception.0);
        w.optional(self.notes.as_ref(), |w, notes| w.text(notes));
        write_version(w, self.version);
    }
}

impl RecallCommand {
    fn write_canonical(&self, w: &mut Writer) {
        w.u8(if self.is_over { RELEASE_LOT } else { RECALL });
        w.varint(u64::from(self.lot.0));
        w.optional(self.notes.as_ref(), |w, notes| w.text(notes));
    }
}

impl CountCommand {
    fn write_canonical(&self, w: &mut Writer) {
        match &self.step {
            CountStep::Open { is_blind, variants } => {
                w.u8(OPEN_COUNT);
                w.u8(u8::from(*is_blind));
                w.optional(variants.as_ref(), |w, variants| {
                    w.varint(variants.len() as u64);
                    variants.iter().for_each(|no| w.varint(u64::from(no.0)));
                });
            }
            CountStep::Submit { count, lines } => {
                w.u8(SUBMIT_COUNT);
                w.varint(count.0);
                w.varint(lines.len() as u64);
                for FoundLine { variant, counted, at } in lines {
                    w.varint(u64::from(variant.0));
                    w.signed(*counted);
                    w.optional(at.as_ref(), |w, at| w.signed(at.micros()));
                }
            }
            CountStep::Approve { count } => {
                w.u8(APPROVE_COUNT);
                w.varint(count.0);
            }
            CountStep::Cancel { count } => {
                w.u8(CANCEL_COUNT);
                w.varint(count.0);
            }
        }
        w.varint(u64::from(self.warehouse.0));
        w.optional(self.notes.as_ref(), |w, notes| w.text(notes));
        write_version(w, self.version);
    }
}

impl CatalogueCommand {
    fn write_canonical(&self, w: &mut Writer) {
        fn text(w: &mut Writer, value: Option<&str>) {
            w.optional(value.as_ref(), |w, text| w.text(text));
        }
        fn flag(w: &mut Writer, value: Option<bool>) {
            w.optional(value.as_ref(), |w, flag| w.u8(u8::from(*flag)));
        }
        // Behind the rest, and only where it is said: commands could not say it from the first day.
        fn policy(w: &mut Writer, value: Option<NegativeStock>) {
            if let Some(policy) = value {
                w.u8(NEGATIVE_STOCK);
                w.u8(policy.code());
            }
        }
        fn product(w: &mut Writer, value: Option<ProductNo>) {
            w.optional(value.as_ref(), |w, no| w.varint(u64::from(no.0)));
        }
        fn instant(w: &mut Writer, value: Option<Timestamp>) {
            w.optional(value.as_ref(), |w, at| w.signed(at.micros()));
        }
        match self {
            CatalogueCommand::CreateWarehouse {
                code,
                name,
                negative_stock,
            } => {
                w.u8(CREATE_WAREHOUSE);
                w.text(code);
                w.text(name);
                policy(w, *negative_stock);
            }
            CatalogueCommand::ChangeWarehouse {
                no,
                code,
                name,
                active,
                negative_stock,
            } => {
                w.u8(CHANGE_WAREHOUSE);
                w.varint(u64::from(no.0));
                text(w, code.as_deref());
                text(w, name.as_deref());
                flag(w, *active);
                policy(w, *negative_stock);
            }
            CatalogueCommand::CreateProduct { name } => {
                w.u8(CREATE_PRODUCT);
                w.text(name);
            }
            CatalogueCommand::ChangeProduct { no, name, active } => {
                w.u8(CHANGE_PRODUCT);
                w.varint(u64::from(no.0));
                text(w, name.as_deref());
                flag(w, *active);
            }
            CatalogueCommand::CreateVariant {
                sku,
                name,
                product: of,
                expires_at,
                tracks_lots,
            } => {
                w.u8(CREATE_VARIANT);
                w.text(sku);
                w.text(name);
                product(w, *of);
                instant(w, *expires_at);
                if *tracks_lots {
                    w.u8(TRACKS_LOTS);
                }
            }
            CatalogueCommand::ChangeVariant {
                no,
                sku,
                name,
                product: of,
                expires_at,
                active,
                tracks_lots,
            } => {
                w.u8(CHANGE_VARIANT);
                w.varint(u64::from(no.0));
                text(w, sku.as_deref());
                text(w, name.as_deref());
                w.optional(of.as_ref(), |w, of| product(w, *of));
                w.optional(expires_at.as_ref(), |w, at| instant(w, *at));
                flag(w, *active);
                if let Some(tracks_lots) = tracks_lots {
                    w.u8(TRACKS_LOTS);
                    w.u8(u8::from(*tracks_lots));
                }
            }
            CatalogueCommand::ChangeLot {
                no,
                expires_at,
                active,
            } => {
                w.u8(CHANGE_LOT);
                w.varint(u64::from(no.0));
                w.optional(expires_at.as_ref(), |w, at| instant(w, *at));
                flag(w, *active);
            }
            CatalogueCommand::ChangeSlot {
                warehouse,
                variant,
                change,
            } => {
                w.u8(CHANGE_SLOT);
                w.varint(u64::from(warehouse.0));
                w.varint(u64::from(variant.0));
                write_slot_change(w, change);
            }
        }
    }
}

fn write_slot_change(w: &mut Writer, change: &SlotChange) {
    let SlotChange {
        bin,
        reorder_point,
        max_level,
        pick_order,
    } = change;
    w.optional(bin.as_ref(), |w, bin| {
        w.optional(bin.as_ref(), |w, bin| w.text(bin))
    });
    for level in [reorder_point, max_level] {
        w.optional(level.as_ref(), |w, level| {
            w.optional(level.as_ref(), |w, units| w.signed(*units));
        });
    }
    w.optional(pick_order.as_ref(), |w, order| {
        w.optional(order.as_ref(), |w, order| {
            w.signed(order.number);
            w.optional(order.reason.as_ref(), |w, reason| w.text(reason));
        });
    });
}
