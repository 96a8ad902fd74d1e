//! Every view: things that there is one of for each, and what is to be done for each.
//!
//! All that must know which views there are is here and in [`crate::ViewName`]: a new view is one more line of each list.

use crate::catalogue::Catalogue;
use crate::counts::Counts;
use crate::exceptions::Exceptions;
use crate::history::History;
use crate::reservations::Reservations;
use crate::stock::Stock;
use crate::transfers::Transfers;
use crate::view::View;

/// A kind of thing that there is one of for each view.
pub(crate) trait PerView {
    /// The one of view `V`.
    type Of<V: View>;
}

/// A view that has a place in an [`Each`].
pub(crate) trait Listed: View {
    /// The view's own.
    fn of<K: PerView>(each: &Each<K>) -> &K::Of<Self>;
    /// The view's own, to be changed.
    fn of_mut<K: PerView>(each: &mut Each<K>) -> &mut K::Of<Self>;
    /// The view's own, where it could be any view's.
    fn any<K: PerView>(own: K::Of<Self>) -> OfAny<K>;
}

macro_rules! views {
    ($($field:ident: $View:ident,)*) => {
        /// One of a kind for every view.
        pub(crate) struct Each<K: PerView> {
            $(pub(crate) $field: K::Of<$View>,)*
        }

        impl<K: PerView> Default for Each<K>
        where
            $(K::Of<$View>: Default,)*
        {
            fn default() -> Each<K> {
                Each { $($field: Default::default(),)* }
            }
        }

        /// One of a kind, of any view.
        pub(crate) enum OfAny<K: PerView> {
            $($View(K::Of<$View>),)*
        }

        $(impl Listed for $View {
            fn of<K: PerView>(each: &Each<K>) -> &K::Of<$View> {
                &each.$field
            }
            fn of_mut<K: PerView>(each: &mut Each<K>) -> &mut K::Of<$View> {
                &mut each.$field
            }
            fn any<K: PerView>(own: K::Of<$View>) -> OfAny<K> {
                OfAny::$View(own)
            }
        })*
    };
}

views! {
    stock: Stock,
    history: History,
    catalogue: Catalogue,
    reservations: Reservations,
    exceptions: Exceptions,
    transfers: Transfers,
    counts: Counts,
}

/// Writes an expression once for every view, as an array in the order of their names: `each_view!(($V:ty, $field:ident)
/// => { … })`, where `$V` is the view and `$field` its field of an [`Each`].
macro_rules! each_view {
    ($($rule:tt)*) => {{
        macro_rules! one { $($rule)* }
        [
            one!($crate::stock::Stock, stock),
            one!($crate::history::History, history),
            one!($crate::catalogue::Catalogue, catalogue),
            one!($crate::reservations::Reservations, reservations),
            one!($crate::exceptions::Exceptions, exceptions),
            one!($crate::transfers::Transfers, transfers),
            one!($crate::counts::Counts, counts),
        ]
    }};
}

/// Evaluates an expression for the view with a name: `with_view!(name, V => …)`, where `V` is the view.
macro_rules! with_view {
    ($name:expr, $V:ident => $do:expr) => {
        match $name {
            $crate::ViewName::Stock => {
                type $V = $crate::stock::Stock;
                $do
            }
            $crate::ViewName::History => {
                type $V = $crate::history::History;
                $do
            }
            $crate::ViewName::Catalogue => {
                type $V = $crate::catalogue::Catalogue;
                $do
            }
            $crate::ViewName::Reservations => {
                type $V = $crate::reservations::Reservations;
                $do
            }
            $crate::ViewName::Exceptions => {
                type $V = $crate::exceptions::Exceptions;
                $do
            }
            $crate::ViewName::Transfers => {
                type $V = $crate::transfers::Transfers;
                $do
            }
            $crate::ViewName::Counts => {
                type $V = $crate::counts::Counts;
                $do
            }
        }
    };
}

/// Evaluates an expression for what is in an [`OfAny`], whichever view's: `of_any!(value, own => …)`.
macro_rules! of_any {
    ($value:expr, $own:ident => $do:expr) => {
        match $value {
            $crate::each::OfAny::Stock($own) => $do,
            $crate::each::OfAny::History($own) => $do,
            $crate::each::OfAny::Catalogue($own) => $do,
            $crate::each::OfAny::Reservations($own) => $do,
            $crate::each::OfAny::Exceptions($own) => $do,
            $crate::each::OfAny::Transfers($own) => $do,
            $crate::each::OfAny::Counts($own) => $do,
        }
    };
}

pub(crate) use {each_view, of_any, with_view};
