//! Which route a path belongs to: what requests are counted under, and in whose words failures are told.

use crate::problem::Dialect;

macro_rules! routes {
    ($($name:ident = $template:literal,)*) => {
        /// A route by its path, whatever the method.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Route {
            $($name,)*
            /// Anything else.
            Unknown,
        }

        impl Route {
            /// Every route.
            pub(crate) const ALL: &[Route] = &[$(Route::$name,)* Route::Unknown];

            /// The path, with its variable parts in braces.
            pub(crate) const fn template(self) -> &'static str {
                match self {
                    $(Route::$name => $template,)*
                    Route::Unknown => "unknown",
                }
            }
        }
    };
}

// Where two templates fit one path, the first counts.
routes! {
    StockEvents = "/api/v1/stock-events",
    StockEventsBulk = "/api/v1/stock-events/bulk",
    StockEvent = "/api/v1/stock-events/{id}",
    StockEventReverse = "/api/v1/stock-events/{id}/reverse",
    Stock = "/api/v1/stock",
    Movements = "/api/v1/movements",
    Reservations = "/api/v1/reservations",
    Reservation = "/api/v1/reservations/{id}",
    ReservationPick = "/api/v1/reservations/{id}/pick",
    ReservationPack = "/api/v1/reservations/{id}/pack",
    ReservationShip = "/api/v1/reservations/{id}/ship",
    ReservationRelease = "/api/v1/reservations/{id}/release",
    ReservationExtend = "/api/v1/reservations/{id}/extend",
    Exceptions = "/api/v1/exceptions",
    Exception = "/api/v1/exceptions/{id}",
    ExceptionClear = "/api/v1/exceptions/{id}/clear",
    Transfers = "/api/v1/transfers",
    Transfer = "/api/v1/transfers/{id}",
    TransferReceive = "/api/v1/transfers/{id}/receive",
    TransferClose = "/api/v1/transfers/{id}/close",
    Counts = "/api/v1/counts",
    Count = "/api/v1/counts/{id}",
    CountLines = "/api/v1/counts/{id}/lines",
    CountApprove = "/api/v1/counts/{id}/approve",
    CountCancel = "/api/v1/counts/{id}/cancel",
    Products = "/api/v1/products",
    ProductsBulk = "/api/v1/products/bulk",
    Product = "/api/v1/products/{id}",
    Warehouses = "/api/v1/warehouses",
    WarehousesBulk = "/api/v1/warehouses/bulk",
    Warehouse = "/api/v1/warehouses/{id}",
    Variants = "/api/v1/variants",
    VariantsBulk = "/api/v1/variants/bulk",
    Variant = "/api/v1/variants/{id}",
    Lots = "/api/v1/lots",
    Lot = "/api/v1/lots/{id}",
    LotRecall = "/api/v1/lots/{id}/recall",
    LotRelease = "/api/v1/lots/{id}/release",
    Slots = "/api/v1/slots",
    Slot = "/api/v1/slots/{warehouseId}/{variantId}",
    Ledger = "/api/v1/ledger",
    LedgerEvents = "/api/v1/ledger/events",
    ViewRebuild = "/api/v1/views/{view}/rebuild",
    Reconciliations = "/api/v1/reconciliations",
    Reconciliation = "/api/v1/reconciliations/{id}",
    ReconciliationCancel = "/api/v1/reconciliations/{id}/cancel",
    ReconciliationVariances = "/api/v1/reconciliations/{id}/variances",
    ReconciliationApply = "/api/v1/reconciliations/{id}/apply",
    ReconciliationDifferences = "/api/v1/reconciliations/{id}/differences",
    Users = "/api/v1/users",
    User = "/api/v1/users/{id}",
    Keys = "/api/v1/keys",
    Key = "/api/v1/keys/{id}",
    Login = "/api/auth/login",
    Refresh = "/api/auth/refresh",
    Logout = "/api/auth/logout",
    Session = "/api/auth/session",
    Inventory = "/api/warehouse/inventory",
    InventoryTransaction = "/api/warehouse/inventory/transaction",
    InventoryPickOrder = "/api/warehouse/inventory/{skuId}/pick-order",
    InventoryAdjust = "/api/warehouse/inventory/{skuId}/adjust",
    InventoryTransactions = "/api/warehouse/inventory/{skuId}/transactions",
    InventoryReconcile = "/api/warehouse/inventory/{skuId}/reconcile",
    Health = "/healthz",
    Ready = "/readyz",
    Metrics = "/metrics",
    OpenApi = "/openapi.json",
    Docs = "/docs",
    DocsIndex = "/docs/",
    DocsFile = "/docs/{file}",
    Problem = "/problems/{code}",
}

impl Route {
    /// The route that `path` belongs to.
    pub(crate) fn of(path: &str) -> Route {
        let fits = |route: &&Route| fits(route.template(), path);
        Route::ALL.iter().find(fits).copied().unwrap_or(Route::Unknown)
    }

    /// In whose words failures at `path` are told, which belongs to this route.
    pub(crate) fn dialect(self, path: &str) -> Dialect {
        match self {
            Route::Unknown if path.starts_with("/api/warehouse/") => Dialect::Warehouse,
            Route::Login | Route::Refresh | Route::Logout => Dialect::Manufacturing,
            Route::Session
            | Route::Inventory
            | Route::InventoryTransaction
            | Route::InventoryPickOrder
            | Route::InventoryAdjust
            | Route::InventoryTransactions
            | Route::InventoryReconcile => Dialect::Warehouse,
            _ => Dialect::Problem,
        }
    }
}

fn fits(template: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let every = template.split('/').all(|wanted| match parts.next() {
        Some(part) => wanted == part || (wanted.starts_with('{') && !part.is_empty()),
        None => false,
    });
    every && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_counted_under_its_own_path() {
        let document = crate::routes::openapi();
        let described = document.paths.paths.keys().map(String::as_str);
        for path in described.chain([
            "/docs",
            "/docs/",
            "/docs/{file}",
            "/openapi.json",
            "/problems/{code}",
        ]) {
            let (filled, counted) = (path.replace(['{', '}'], ""), Route::of(path).template());
            assert_eq!(counted, path, "the route {path} is counted under {counted}");
            assert_eq!(Route::of(&filled).template(), path);
        }
        for route in Route::ALL.iter().filter(|route| **route != Route::Unknown) {
            let template = route.template();
            let is_there = document.paths.paths.contains_key(template);
            let is_of_docs = ["/docs", "/openapi.json", "/problems/"]
                .iter()
                .any(|begin| template.starts_with(begin));
            assert!(is_there || is_of_docs, "there is no route {template}");
        }
    }

    #[test]
    fn a_path_finds_its_template() {
        for (path, route) in [
            ("/api/v1/stock-events", Route::StockEvents),
            ("/api/v1/stock-events/bulk", Route::StockEventsBulk),
            (
                "/api/v1/stock-events/0a0fa4e5-21f8-426c-8f8b-8c61d85f7b71",
                Route::StockEvent,
            ),
            ("/api/v1/views/stock/rebuild", Route::ViewRebuild),
            ("/docs/swagger-ui.css", Route::DocsFile),
            ("/api/v1/stock-events/", Route::Unknown),
            ("/api/v1/stock-events/1/2", Route::Unknown),
            ("/", Route::Unknown),
            ("", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
