//! What happened: events, and the records that the log keeps of them.

use std::fmt;

use smallvec::SmallVec;
use uuid::Uuid;

use crate::command::IdempotencyKey;
use crate::count::Counting;
use crate::id::{Position, ProductNo, Stream, VariantNo, Version, WarehouseNo};
use crate::place::{Account, Bucket, Place, Posting};
use crate::policy::NegativeStock;
use crate::time::Timestamp;

/// The kinds of stock event. The number is the one in records: stable for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Goods received: supplier → available.
    Inbound = 1,
    /// Goods issued: available → customer.
    Outbound = 2,
    /// A correction: adjustment → available, or back.
    Adjust = 3,
    /// Goods promised to an order: available → reserved.
    Reservation = 4,
    /// A promise taken back: reserved (or picked, packed) → available.
    Release = 5,
    /// Goods taken from the shelf for an order: reserved → picked.
    Pick = 6,
    /// Goods packed for an order: picked → packed.
    Pack = 7,
    /// An order's goods gone: packed → customer.
    Ship = 8,
    /// Goods sent to another warehouse: available → transit. What opens a transfer, where it says to which one.
    TransferOut = 9,
    /// Goods arrived from another warehouse: transit → available; what is damaged, transit → held.
    TransferIn = 10,
    /// Goods set aside: available → held.
    Hold = 11,
    /// Goods no longer set aside: held → available.
    Unhold = 12,
    /// A reservation ran out at its instant: reserved → available. Recorded by the ledger itself, never commanded.
    Expiry = 13,
    /// A reservation got another expiry, or none. Moves nothing.
    Extend = 14,
    /// An earlier event undone: everything goes back where it came from.
    Reversal = 15,
    /// Goods are on their way here from another warehouse. Moves nothing: it tells the destination's stream of a transfer.
    TransferExpected = 16,
    /// A transfer is over, and what had not arrived is written off: transit → adjustment.
    TransferClosed = 17,
    /// Somebody has seen to an exception. Moves nothing.
    ExceptionCleared = 18,
    /// A count was opened. Moves nothing.
    CountOpened = 19,
    /// Something was counted. Moves nothing.
    Counted = 20,
    /// What was counted is right: adjustment → available, or back. Moves nothing where everything was as expected.
    CountApproved = 21,
    /// A count is over, and nothing came of it. Moves nothing.
    CountCancelled = 22,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Kind; 22] = [
        Kind::Inbound,
        Kind::Outbound,
        Kind::Adjust,
        Kind::Reservation,
        Kind::Release,
        Kind::Pick,
        Kind::Pack,
        Kind::Ship,
        Kind::TransferOut,
        Kind::TransferIn,
        Kind::Hold,
        Kind::Unhold,
        Kind::Expiry,
        Kind::Extend,
        Kind::Reversal,
        Kind::TransferExpected,
        Kind::TransferClosed,
        Kind::ExceptionCleared,
        Kind::CountOpened,
        Kind::Counted,
        Kind::CountApproved,
        Kind::CountCancelled,
    ];

    /// The number that stands for this kind in records.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind that `code` stands for.
    pub fn from_code(code: u8) -> Option<Kind> {
        KINDS.get(usize::from(code)).copied().flatten()
    }

    /// Where a positive quantity of this kind leaves and arrives. A negative one (of an ADJUST) goes the other way.
    /// `None` of a kind whose lines do not say it: one that moves nothing, or goes the way of another back.
    pub const fn flow(self) -> Option<(Place, Place)> {
        use Place::{Account as A, Bucket as B};
        Some(match self {
            Kind::Inbound => (A(Account::Supplier), B(Bucket::Available)),
            Kind::Outbound => (B(Bucket::Available), A(Account::Customer)),
            Kind::Adjust => (A(Account::Adjustment), B(Bucket::Available)),
            Kind::Reservation => (B(Bucket::Available), B(Bucket::Reserved)),
            Kind::Release | Kind::Expiry => (B(Bucket::Reserved), B(Bucket::Available)),
            Kind::Pick => (B(Bucket::Reserved), B(Bucket::Picked)),
            Kind::Pack => (B(Bucket::Picked), B(Bucket::Packed)),
            Kind::Ship => (B(Bucket::Packed), A(Account::Customer)),
            Kind::TransferOut => (B(Bucket::Available), A(Account::Transit)),
            Kind::TransferIn => (A(Account::Transit), B(Bucket::Available)),
            Kind::Hold => (B(Bucket::Available), B(Bucket::Held)),
            Kind::Unhold => (B(Bucket::Held), B(Bucket::Available)),
            Kind::TransferClosed => (A(Account::Transit), A(Account::Adjustment)),
            Kind::Extend
            | Kind::Reversal
            | Kind::TransferExpected
            | Kind::ExceptionCleared
            | Kind::CountOpened
            | Kind::Counted
            | Kind::CountApproved
            | Kind::CountCancelled => return None,
        })
    }

    /// Whether an event of this kind can be undone by a REVERSAL. What an order or a transfer went through is undone
    /// by what undoes it there: a release, a receipt.
    pub const fn is_reversible(self) -> bool {
        matches!(
            self,
            Kind::Inbound | Kind::Outbound | Kind::Adjust | Kind::Hold | Kind::Unhold
        )
    }

    /// Whether this kind acts on what an order holds (and so names one).
    pub const fn needs_order(self) -> bool {
        matches!(
            self,
            Kind::Reservation | Kind::Release | Kind::Pick | Kind::Pack | Kind::Ship
        )
    }

    /// Whether a movement of this kind is one of a transfer's.
    pub const fn needs_transfer(self) -> bool {
        matches!(self, Kind::TransferOut | Kind::TransferIn)
    }

    /// Whether this kind finishes what an earlier event began, and so goes on after its warehouse or variant was
    /// deactivated: what was promised or is on the way must have somewhere to go.
    pub const fn finishes(self) -> bool {
        matches!(
            self,
            Kind::Release
                | Kind::Pick
                | Kind::Pack
                | Kind::Ship
                | Kind::TransferIn
                | Kind::Unhold
                | Kind::Expiry
                | Kind::Extend
                | Kind::Reversal
                | Kind::TransferClosed
                | Kind::ExceptionCleared
                | Kind::Counted
                | Kind::CountApproved
                | Kind::CountCancelled
        )
    }
}

/// The kinds at their numbers, which may have gaps.
#[expect(clippy::indexing_slicing, reason = "an index out of bounds would not compile")]
const KINDS: [Option<Kind>; KIND_CODES] = {
    let mut kinds = [None; KIND_CODES];
    let mut at = 0;
    while at < Kind::ALL.len() {
        let kind = Kind::ALL[at];
        kinds[kind.code() as usize] = Some(kind);
        at += 1;
    }
    kinds
};
/// How many numbers kinds can have: those from here on are the catalogue's in records.
const KIND_CODES: usize = 64;

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Inbound => "INBOUND",
            Kind::Outbound => "OUTBOUND",
            Kind::Adjust => "ADJUST",
            Kind::Reservation => "RESERVATION",
            Kind::Release => "RELEASE",
            Kind::Pick => "PICK",
            Kind::Pack => "PACK",
            Kind::Ship => "SHIP",
            Kind::TransferOut => "TRANSFER_OUT",
            Kind::TransferIn => "TRANSFER_IN",
            Kind::Hold => "HOLD",
            Kind::Unhold => "UNHOLD",
            Kind::Expiry => "EXPIRY",
            Kind::Extend => "EXTEND",
            Kind::Reversal => "REVERSAL",
            Kind::TransferExpected => "TRANSFER_EXPECTED",
            Kind::TransferClosed => "TRANSFER_CLOSED",
            Kind::ExceptionCleared => "EXCEPTION_CLEARED",
            Kind::CountOpened => "COUNT_OPENED",
            Kind::Counted => "COUNTED",
            Kind::CountApproved => "COUNT_APPROVED",
            Kind::CountCancelled => "COUNT_CANCELLED",
        })
    }
}

/// Why stock moved, in the documented vocabulary. The number is the one in records: stable for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Reason {
    /// Bought goods; with INBOUND.
    Purchase = 1,
    /// Sold goods; with OUTBOUND.
    Sale = 2,
    /// A count found another quantity; with ADJUST.
    CountCorrection = 3,
    /// Damaged goods; with OUTBOUND and negative ADJUST.
    Damage = 4,
    /// Expired goods thrown away; with OUTBOUND and negative ADJUST.
    DiscardExpired = 5,
    /// Anything else; with every kind.
    Other = 6,
    /// Stolen goods; with negative ADJUST.
    Theft = 7,
    /// Goods that came back, or were sent back; with ADJUST.
    Return = 8,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Reason; 8] = [
        Reason::Purchase,
        Reason::Sale,
        Reason::CountCorrection,
        Reason::Damage,
        Reason::DiscardExpired,
        Reason::Other,
        Reason::Theft,
        Reason::Return,
    ];

    /// The number that stands for this reason in records.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason that `code` stands for.
    pub fn from_code(code: u8) -> Option<Reason> {
        Reason::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Purchase => "PURCHASE",
            Reason::Sale => "SALE",
            Reason::CountCorrection => "COUNT_CORRECTION",
            Reason::Damage => "DAMAGE",
            Reason::DiscardExpired => "DISCARD_EXPIRED",
            Reason::Other => "OTHER",
            Reason::Theft => "THEFT",
            Reason::Return => "RETURN",
        })
    }
}

/// Postings of one event; nearly always one.
pub type Postings = SmallVec<[Posting; 1]>;

/// Stock moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockEvent {
    /// What kind of movement.
    pub kind: Kind,
    /// At which warehouse.
    pub warehouse: WarehouseNo,
    /// When it happened, which may be long before it was recorded.
    pub occurred_at: Timestamp,
    /// Why.
    pub reason: Option<Reason>,
    /// For which order.
    pub order: Option<Box<str>>,
    /// Under which transfer, by the caller's own name of it.
    pub transfer: Option<Box<str>>,
    /// When a RESERVATION runs out, or does after an EXTEND.
    pub expires_at: Option<Timestamp>,
    /// The earlier event that it acts on: the one that made the reservation of an EXTEND, the one that a REVERSAL undoes,
    /// the TRANSFER_OUT that opened the transfer of a TRANSFER_EXPECTED, TRANSFER_IN or TRANSFER_CLOSED, the one whose
    /// exception an EXCEPTION_CLEARED clears, the COUNT_OPENED of what happens to a count, which a RELEASE may be as well.
    pub about: Option<Position>,
    /// Units by variant that it notes and does not move: what a partial RESERVATION asked for beyond what there was, what
    /// the reservation of an EXTEND still has reserved, what a TRANSFER_EXPECTED expects, what a TRANSFER_IN found missing;
    /// of an OUTBOUND, ADJUST, REVERSAL or COUNT_APPROVED that took more than was available, how far below zero available stands after it.
    pub noted: Vec<(VariantNo, i64)>,
    /// The transfer's other warehouse: where a TRANSFER_OUT goes, where the others of a transfer come from. `None` in a
    /// TRANSFER_OUT or TRANSFER_IN that knows its transfer by name only.
    pub counterpart: Option<WarehouseNo>,
    /// What it has to do with counting.
    pub count: Option<Box<Counting>>,
    /// What moved from where to where; at least one, but for an EXTEND, a TRANSFER_EXPECTED, an EXCEPTION_CLEARED and
    /// what happens to a count, and a TRANSFER_IN that notes what is missing and no more.
    pub postings: Postings,
    /// Free text, at most 500 characters.
    pub notes: Option<Box<str>>,
}

/// What changes of a slot, the place of a variant at a warehouse. What is `None` stays; `Some(None)` takes it away.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SlotChange {
    /// Where in the warehouse it lies: 1 to 64 characters.
    pub bin: Option<Option<Box<str>>>,
    /// At so many units available or fewer it is to be ordered again.
    pub reorder_point: Option<Option<i64>>,
    /// So many units are to lie there at most.
    pub max_level: Option<Option<i64>>,
    /// When it is picked, where that does not follow from its bin.
    pub pick_order: Option<Option<PickOrder>>,
}

impl SlotChange {
    /// Whether everything stays.
    pub fn is_empty(&self) -> bool {
        *self == SlotChange::default()
    }
}

/// A place in the order of picking that somebody gave to a slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PickOrder {
    /// Lower ones are picked first.
    pub number: i64,
    /// Why: 1 to 500 characters.
    pub reason: Option<Box<str>>,
}

/// What somebody is to see to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ExceptionType {
    /// An event took more than was available: available stands below zero.
    NegativeStock,
    /// A count found less than there was to be, and took from what was promised to an order.
    CountShortage,
}

impl ExceptionType {
    /// Every type.
    pub const ALL: [ExceptionType; 2] = [ExceptionType::NegativeStock, ExceptionType::CountShortage];
}

/// What an exception is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExceptionLine {
    /// Of what.
    pub variant: VariantNo,
    /// How many units: of negative stock, how far below zero available stood after the event; of a count's shortage, how
    /// many were taken.
    pub units: i64,
    /// The reservation that they were taken from.
    pub reservation: Option<Position>,
}

impl StockEvent {
    /// The exception that this event puts on the list, if it is one to be seen to. The event's position is the
    /// exception's id.
    pub fn exception(&self) -> Option<ExceptionType> {
        let overdraws = matches!(
            self.kind,
            Kind::Outbound | Kind::Adjust | Kind::Reversal | Kind::CountApproved
        );
        if overdraws && !self.noted.is_empty() {
            Some(ExceptionType::NegativeStock)
        } else if self.kind == Kind::Release && self.about.is_some() {
            Some(ExceptionType::CountShortage)
        } else {
            None
        }
    }

    /// The variants whose units a count had seen move already.
    pub fn seen(&self) -> &[VariantNo] {
        match self.count.as_deref() {
            Some(Counting::Seen(variants) | Counting::Undone { seen: variants, .. }) => variants,
            _ => &[],
        }
    }

    /// The postings of what moved, without those that give back what a count had seen go, or take what it had seen come.
    pub fn own_postings(&self) -> impl Iterator<Item = &Posting> {
        let adjustment = Place::Account(Account::Adjustment);
        let touches = move |one: &Posting| one.from == adjustment || one.to == adjustment;
        let all = self.postings.as_slice();
        all.iter().filter(move |own| {
            let is_seen = self.seen().contains(&own.variant);
            // A correction touches the account as well, and stands before what makes up for it.
            let is_correction = || {
                let mut of_it = all.iter().filter(|one| one.variant == own.variant);
                let is_first = of_it.next().is_some_and(|first| std::ptr::eq(first, *own));
                is_first && of_it.all(touches)
            };
            !is_seen || !touches(own) || is_correction()
        })
    }

    /// What the exception that this event puts on the list is of.
    pub fn exception_lines(&self) -> Vec<ExceptionLine> {
        let noted = |&(variant, units): &(VariantNo, i64)| ExceptionLine {
            variant,
            units,
            reservation: None,
        };
        let taken = |posting: &Posting| ExceptionLine {
            variant: posting.variant,
            units: posting.quantity,
            reservation: posting.reservation,
        };
        match self.exception() {
            None => Vec::new(),
            Some(ExceptionType::NegativeStock) => self.noted.iter().map(noted).collect(),
            Some(ExceptionType::CountShortage) => self.postings.iter().map(taken).collect(),
        }
    }
}

/// Something changed in the catalogue. Fields of a change are `None` where they stay as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CatalogueEvent {
    /// A warehouse came to be.
    WarehouseCreated {
        /// Its number.
        no: WarehouseNo,
        /// Its unique code.
        code: Box<str>,
        /// Its display name.
        name: Box<str>,
    },
    /// A warehouse got another code or name.
    WarehouseChanged {
        /// Which.
        no: WarehouseNo,
        /// The new code.
        code: Option<Box<str>>,
        /// The new name.
        name: Option<Box<str>>,
    },
    /// A warehouse got another policy.
    WarehousePolicyChanged {
        /// Which.
        no: WarehouseNo,
        /// What happens from now on when a physical fact takes more than is available.
        negative_stock: NegativeStock,
    },
    /// A warehouse takes stock events again.
    WarehouseActivated(WarehouseNo),
    /// A warehouse takes no more stock events.
    WarehouseDeactivated(WarehouseNo),
    /// A product came to be.
    ProductCreated {
        /// Its number.
        no: ProductNo,
        /// Its name.
        name: Box<str>,
    },
    /// A product got another name.
    ProductChanged {
        /// Which.
        no: ProductNo,
        /// The new name.
        name: Box<str>,
    },
    /// A product is in use again.
    ProductActivated(ProductNo),
    /// A product is out of use.
    ProductDeactivated(ProductNo),
    /// A variant came to be.
    VariantCreated {
        /// Its number.
        no: VariantNo,
        /// Its unique SKU.
        sku: Box<str>,
        /// Its name.
        name: Box<str>,
        /// The product it is a variant of.
        product: Option<ProductNo>,
        /// When its goods expire.
        expires_at: Option<Timestamp>,
        /// Whether its stock lies in lots.
        tracks_lots: bool,
    },
    /// A variant got another SKU, name, product, expiry or tracking. `Some(None)` takes the product or expiry away.
    VariantChanged {
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
        /// Whether its stock lies in lots from now on.
        tracks_lots: Option<bool>,
    },
    /// A variant, or a lot, takes stock events again.
    VariantActivated(VariantNo),
    /// A variant, or a lot, takes no more stock events.
    VariantDeactivated(VariantNo),
    /// A variant's place at a warehouse got other settings.
    SlotChanged {
        /// Where.
        warehouse: WarehouseNo,
        /// What.
        variant: VariantNo,
        /// What changed.
        change: SlotChange,
    },
    /// The first goods of a lot came in. Its number is of the variants': what is of a lot has its number wherever what is
    /// not in lots has its variant's.
    LotCreated {
        /// Its number.
        no: VariantNo,
        /// The variant that it is of.
        of: VariantNo,
        /// Its code, unique among those of its variant.
        code: Box<str>,
        /// When its goods expire.
        expires_at: Option<Timestamp>,
    },
    /// The goods of a lot expire at another instant, or not.
    LotChanged {
        /// Which.
        no: VariantNo,
        /// The new expiry.
        expires_at: Option<Timestamp>,
    },
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Stock moved.
    Stock(StockEvent),
    /// The catalogue changed.
    Catalogue(CatalogueEvent),
}

impl Event {
    /// The stream that this event belongs to.
    pub fn stream(&self) -> Stream {
        match self {
            Event::Stock(event) => Stream::Warehouse(event.warehouse),
            Event::Catalogue(_) => Stream::Catalogue,
        }
    }
}

/// An event with what the log keeps beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its place in its stream.
    pub version: Version,
    /// Who sent the command: the id of a user or key.
    pub author: Uuid,
    /// In whose name, where the author (an ADMIN) named somebody else.
    pub on_behalf_of: Option<Uuid>,
    /// The idempotency key of the command, on the last of its events.
    pub key: Option<RecordedKey>,
    /// What happened.
    pub event: Event,
}

/// An idempotency key as the log keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedKey {
    /// The key.
    pub key: IdempotencyKey,
    /// The fingerprint of the request that first used it, without the server's defaults.
    pub fingerprint: u64,
}

/// A record at its place in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Its place in the log.
    pub position: Position,
    /// When the ledger recorded it; never before an earlier event's.
    pub recorded_at: Timestamp,
    /// What was recorded.
    pub record: Record,
}
