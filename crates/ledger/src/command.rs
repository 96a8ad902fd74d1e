//! What a caller asks for.

mod canonical;

use smallvec::SmallVec;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::codec::Writer;
use crate::event::{Kind, Reason, SlotChange, StockEvent};
use crate::id::{LedgerId, Position, ProductNo, VariantNo, Version, WarehouseNo};
use crate::place::Bucket;
use crate::policy::NegativeStock;
use crate::time::Timestamp;

/// One line of a stock command.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Line {
    /// What.
    pub variant: VariantNo,
    /// How many whole units: 1 to 1,000,000,000; of an ADJUST, either sign.
    pub quantity: i64,
}

/// Lines of one command; nearly always one.
pub type Lines = SmallVec<[Line; 1]>;

/// The lot that a line names.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LineLot {
    /// Which line, from 0.
    pub line: usize,
    /// The lot's code: 1 to 64 characters.
    pub code: Box<str>,
    /// When its goods expire, as far as the line says so: what brings in the first of a lot gives it this expiry.
    pub expires_at: Option<Timestamp>,
}

/// Asks to move stock at one warehouse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockCommand {
    /// What kind of movement.
    pub kind: Kind,
    /// At which warehouse.
    pub warehouse: WarehouseNo,
    /// When it happened; `None` is "now", whenever that is decided.
    pub occurred_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
    /// For which order: 1 to 128 characters. RESERVATION, RELEASE, PICK, PACK and SHIP need it.
    pub order: Option<Box<str>>,
    /// Under which transfer: 1 to 128 characters, which no other open transfer has. TRANSFER_OUT and TRANSFER_IN need it,
    /// but for a TRANSFER_OUT that has a `counterpart`.
    pub transfer: Option<Box<str>>,
    /// To which other warehouse a TRANSFER_OUT goes: it opens a transfer, which is received by a [`ReceiveCommand`].
    pub counterpart: Option<WarehouseNo>,
    /// When a RESERVATION runs out.
    pub expires_at: Option<Timestamp>,
    /// Which bucket a RELEASE empties: reserved (when `None`), picked or packed.
    pub release_from: Option<Bucket>,
    /// Which of the order's reservations a RELEASE, PICK, PACK or SHIP acts on; all of them, the oldest first, when `None`.
    pub reservation: Option<Position>,
    /// Whether a RESERVATION takes what there is where there is less than it asks for.
    pub is_partial: bool,
    /// Whether the server chose the warehouse because the caller named none: the same request may be led to another one
    /// when it is sent again, and is the same all the same.
    pub is_warehouse_chosen: bool,
    /// What must be so for it to happen.
    pub conditions: Option<Box<Conditions>>,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
    /// The lots that lines name, in the order of the lines.
    pub lots: Vec<LineLot>,
    /// What and how much: 1 to 1,000 lines, each variant once, or each lot of it. None where it acts on one reservation: all that this one
    /// has in the bucket, and of a RELEASE that names no bucket, all that it holds.
    pub lines: Lines,
}

/// What must be so for a command to happen; else it is refused with what is so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    /// The version of the warehouse's stream.
    pub version: Option<Version>,
    /// How many units of a variant are to be available before it.
    pub available: Vec<(VariantNo, i64)>,
}

/// Asks that a reservation run out at another instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtendCommand {
    /// The reservation's warehouse.
    pub warehouse: WarehouseNo,
    /// Whose it is.
    pub order: Box<str>,
    /// Which one.
    pub reservation: Position,
    /// When it is to run out; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// The version that the warehouse's stream is to have come to, where that matters.
    pub version: Option<Version>,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
}

/// Asks that an earlier event be undone: that everything go back where it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReverseCommand {
    /// The event's place in the log.
    pub position: Position,
    /// The event, as the log has it.
    pub event: StockEvent,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Under which name this was asked for: the same one is the same request again.
    pub asked_as: Box<str>,
    /// The version that the warehouse's stream is to have come to, where that matters.
    pub version: Option<Version>,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
}

/// Asks that what a transfer has on the way be taken in at its destination, all of it or some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceiveCommand {
    /// Which one: the position of its TRANSFER_OUT.
    pub transfer: Position,
    /// Where it arrived.
    pub warehouse: WarehouseNo,
    /// When it happened; `None` is "now", whenever that is decided.
    pub occurred_at: Option<Timestamp>,
    /// What was found: at most 1,000 lines, each variant once. None: everything on the way, and all of it sound.
    pub lines: Vec<ReceivedLine>,
    /// The lots that lines name, in the order of the lines.
    pub lots: Vec<LineLot>,
    /// The version that the destination's stream is to have come to, where that matters.
    pub version: Option<Version>,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
}

/// What was found of one variant: none of it below 0, and 1 to 1,000,000,000 in all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReceivedLine {
    /// Of what.
    pub variant: VariantNo,
    /// Units that arrived sound.
    pub received: i64,
    /// Units that arrived damaged.
    pub damaged: i64,
    /// Units that are missing. They stay on the way until they are found or the transfer is closed.
    pub short: i64,
}

/// Asks that a transfer be over: what has not arrived is written off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloseCommand {
    /// Which one: the position of its TRANSFER_OUT.
    pub transfer: Position,
    /// Why: anything but PURCHASE and SALE.
    pub reason: Reason,
    /// The version that the destination's stream is to have come to, where that matters.
    pub version: Option<Version>,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
}

/// Asks that an exception be taken off the list of those to be seen to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClearCommand {
    /// Where it is.
    pub warehouse: WarehouseNo,
    /// The event that made it.
    pub exception: Position,
    /// The version that the warehouse's stream is to have come to, where that matters.
    pub version: Option<Version>,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
}

/// Asks that a lot be recalled, or that its recall be over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecallCommand {
    /// Which lot.
    pub lot: VariantNo,
    /// Whether it may be used again, and what was set aside of it is available; else it is out of use, and all that was
    /// available of it anywhere is held.
    pub is_over: bool,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
}

/// Asks something of a count at a warehouse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountCommand {
    /// Where.
    pub warehouse: WarehouseNo,
    /// What.
    pub step: CountStep,
    /// The version that the warehouse's stream is to have come to, where that matters.
    pub version: Option<Version>,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
}

/// What is asked of a count. One that is open is named by the position of the event that opened it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CountStep {
    /// Open one.
    Open {
        /// Whether those who count are not told what is expected.
        is_blind: bool,
        /// What is to be counted, 1 to 1,000 variants, each once; `None` for everything at the warehouse.
        variants: Option<Vec<VariantNo>>,
    },
    /// Say what was found.
    Submit {
        /// In which one.
        count: Position,
        /// 1 to 1,000 lines, each variant once.
        lines: Vec<FoundLine>,
    },
    /// Post what was found.
    Approve {
        /// Which one.
        count: Position,
    },
    /// Let it be over without posting anything.
    Cancel {
        /// Which one.
        count: Position,
    },
}

/// What was found of one variant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FoundLine {
    /// Of what.
    pub variant: VariantNo,
    /// How many units were found on hand: 0 to 1,000,000,000,000.
    pub counted: i64,
    /// When it was counted; `None` is "now", whenever that is decided.
    pub at: Option<Timestamp>,
}

impl StockCommand {
    /// A command of `kind` at `warehouse` over `lines`, happening now, with nothing else said.
    pub fn new(kind: Kind, warehouse: WarehouseNo, lines: impl IntoIterator<Item = Line>) -> StockCommand {
        StockCommand {
            kind,
            warehouse,
            occurred_at: None,
            reason: None,
            order: None,
            transfer: None,
            counterpart: None,
            expires_at: None,
            release_from: None,
            reservation: None,
            is_partial: false,
            is_warehouse_chosen: false,
            conditions: None,
            notes: None,
            lots: Vec::new(),
            lines: lines.into_iter().collect(),
        }
    }
}

/// Asks to change the catalogue. Fields of a change are `None` where they are to stay as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CatalogueCommand {
    /// Create a warehouse.
    CreateWarehouse {
        /// Its unique code: 1 to 64 characters.
        code: Box<str>,
        /// Its display name: 1 to 200 characters.
        name: Box<str>,
        /// What happens when a physical fact takes more than is available; it is refused when `None`.
        negative_stock: Option<NegativeStock>,
    },
    /// Change a warehouse.
    ChangeWarehouse {
        /// Which.
        no: WarehouseNo,
        /// The new code.
        code: Option<Box<str>>,
        /// The new name.
        name: Option<Box<str>>,
        /// Whether it takes stock events.
        active: Option<bool>,
        /// What happens when a physical fact takes more than is available.
        negative_stock: Option<NegativeStock>,
    },
    /// Create a product.
    CreateProduct {
        /// Its name: 1 to 200 characters.
        name: Box<str>,
    },
    /// Change a product.
    ChangeProduct {
        /// Which.
        no: ProductNo,
        /// The new name.
        name: Option<Box<str>>,
        /// Whether it is in use.
        active: Option<bool>,
    },
    /// Create a variant.
    CreateVariant {
        /// Its unique SKU: 1 to 128 characters, case-sensitive.
        sku: Box<str>,
        /// Its name: 1 to 200 characters.
        name: Box<str>,
        /// The product it is a variant of.
        product: Option<ProductNo>,
        /// When its goods expire.
        expires_at: Option<Timestamp>,
        /// Whether its stock lies in lots.
        tracks_lots: bool,
    },
    /// Change a variant. `Some(None)` takes the product or expiry away.
    ChangeVariant {
        /// Which.
        no: VariantNo,
        /// The new SKU.
        sku: Option<Box<str>>,
        /// The new name.
        name: Option<Box<str>>,
        /// The new product.
        product: Option<Option<ProductNo>>,
        /// The new expiry.
        expires_at: Option<Option<Timestamp>>,
        /// Whether it takes stock events.
        active: Option<bool>,
        /// Whether its stock lies in lots; changed only while it has none.
        tracks_lots: Option<bool>,
    },
    /// Change a lot.
    ChangeLot {
        /// Which.
        no: VariantNo,
        /// The new expiry; `Some(None)` takes it away.
        expires_at: Option<Option<Timestamp>>,
        /// Whether it takes stock events: a lot that does not is neither chosen nor issued, but for goods that are no longer
        /// good.
        active: Option<bool>,
    },
    /// Change a variant's place at a warehouse.
    ChangeSlot {
        /// Where.
        warehouse: WarehouseNo,
        /// What.
        variant: VariantNo,
        /// What to change.
        change: SlotChange,
    },
}

/// What a caller asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Move stock.
    Stock(StockCommand),
    /// Let a reservation run out at another instant.
    Extend(ExtendCommand),
    /// Undo an earlier event.
    Reverse(Box<ReverseCommand>),
    /// Take in what a transfer has on the way.
    Receive(ReceiveCommand),
    /// Let a transfer be over.
    Close(CloseCommand),
    /// Say that an exception was seen to.
    Clear(ClearCommand),
    /// Open a count, or go on with one.
    Count(Box<CountCommand>),
    /// Recall a lot, or release it.
    Recall(RecallCommand),
    /// Change the catalogue.
    Catalogue(CatalogueCommand),
    /// Change the catalogue if its stream has come to this version, and no other.
    CatalogueAt(Version, CatalogueCommand),
    /// Record the expiry of reservations that have run out, at most so many. Housekeeping of the ledger's own:
    /// availability never waits for it.
    ExpireDue {
        /// The most reservations to expire at once.
        reservations_max: usize,
    },
}

/// Who made an idempotency key. The two never meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum KeySpace {
    /// A caller chose the key.
    Caller = 0,
    /// The server derived it (an import's line, an event's reversal).
    Server = 1,
}

/// A key that makes a command happen at most once, for ever.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IdempotencyKey {
    /// Who made it.
    pub space: KeySpace,
    /// 1 to 255 visible ASCII characters.
    pub text: Box<str>,
}

/// A key that is empty, longer than 255 characters or not of visible ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an idempotency key is 1 to 255 visible ASCII characters")]
pub struct InvalidKey;

impl IdempotencyKey {
    /// The longest key, in characters.
    pub const LENGTH_MAX: usize = 255;

    /// A key as a caller sent it.
    pub fn parse(space: KeySpace, text: &str) -> Result<IdempotencyKey, InvalidKey> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > Self::LENGTH_MAX || !visible {
            return Err(InvalidKey);
        }
        Ok(IdempotencyKey {
            space,
            text: text.into(),
        })
    }

    /// The key under which the event at `position` is undone: an event has one, so it is undone once.
    pub fn of_reversal(position: Position) -> IdempotencyKey {
        IdempotencyKey {
            space: KeySpace::Server,
            text: format!("reverse:{position}").into(),
        }
    }

    /// The key's hash in one ledger: XXH3-64 of its text, seeded by the ledger and the key's space. Stored in
    /// indexes, so it never changes.
    pub fn hash(&self, ledger: LedgerId) -> u64 {
        xxh3_64_with_seed(self.text.as_bytes(), ledger.seed() ^ self.space as u64)
    }
}

/// A command with who sent it, and the key under which it happens at most once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// Who asks: the id of a user or key.
    pub author: Uuid,
    /// In whose name, where that is somebody else.
    pub on_behalf_of: Option<Uuid>,
    /// The key, if the caller gave one.
    pub key: Option<IdempotencyKey>,
}

impl Request {
    /// What this request is, in 64 bits: XXH3 of its content as parsed, without the server's defaults, the author
    /// and the key. Stored beside keys, so it never changes.
    pub fn fingerprint(&self) -> u64 {
        let mut writer = Writer::with_capacity(128);
        self.command.write_canonical(&mut writer);
        writer.optional(self.on_behalf_of.as_ref(), |w, id| w.bytes(id.as_bytes()));
        xxh3_64_with_seed(writer.as_slice(), 0)
    }
}
