//! The catalogue view's SQL.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use bincard_ledger::{CatalogueEvent, NegativeStock, Position, ProductNo, Timestamp, VariantNo, WarehouseNo};
use sqlx::AssertSqlSafe;

use super::fold::{Change, What};
use super::{LotRow, ProductRow, VariantRow, WarehouseRow, folded, slots};
use crate::filter::Conditions;
use crate::sql::{Connection, Insert, Row, Value, query};
use crate::stock::StockKey;

pub(super) const SCHEMA: &[&str] = &[
    "create table warehouses (
        no integer primary key,
        code text not null,
        name text not null,
        code_folded text not null,
        name_folded text not null,
        active integer not null,
        negative_stock integer not null,
        created integer not null,
        created_at integer not null,
        changed integer not null,
        changed_at integer not null
    )",
    "create index warehouses_by_code on warehouses (code)",
    "create table products (
        no integer primary key,
        name text not null,
        name_folded text not null,
        active integer not null,
        created integer not null,
        created_at integer not null,
        changed integer not null,
        changed_at integer not null
    )",
    "create table variants (
        no integer primary key,
        sku text not null,
        name text not null,
        sku_folded text not null,
        name_folded text not null,
        product integer,
        expires_at integer,
        tracks_lots integer not null,
        active integer not null,
        created integer not null,
        created_at integer not null,
        changed integer not null,
        changed_at integer not null
    )",
    "create index variants_by_sku on variants (sku)",
    "create index variants_by_product on variants (product)",
    "create table lots (
        no integer primary key,
        variant integer not null,
        code text not null,
        code_folded text not null,
        expires_at integer,
        active integer not null,
        created integer not null,
        created_at integer not null,
        changed integer not null,
        changed_at integer not null
    )",
    "create index lots_by_variant on lots (variant)",
    slots::SCHEMA,
    slots::INDEX,
];

static INSERT_WAREHOUSES: LazyLock<Insert> = LazyLock::new(|| Insert::new("warehouses", 11, ""));
static INSERT_PRODUCTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("products", 8, ""));
static INSERT_VARIANTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("variants", 13, ""));
static INSERT_LOTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("lots", 10, ""));
static INSERT_SLOTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("slots", slots::COLUMNS, ""));

/// Created rows that are not written yet: they go in bulk, before the next change.
#[derive(Default)]
struct Created {
    warehouses: Vec<Value>,
    products: Vec<Value>,
    variants: Vec<Value>,
    lots: Vec<Value>,
    slots: Vec<Value>,
}

impl Created {
    async fn flush(&mut self, connection: &mut Connection<'_>) -> Result<(), sqlx::Error> {
        INSERT_WAREHOUSES.run(connection, &self.warehouses).await?;
        INSERT_PRODUCTS.run(connection, &self.products).await?;
        INSERT_VARIANTS.run(connection, &self.variants).await?;
        INSERT_LOTS.run(connection, &self.lots).await?;
        INSERT_SLOTS.run(connection, &self.slots).await?;
        *self = Created::default();
        Ok(())
    }

    /// Takes a row up; `false` when the event creates nothing.
    fn take(&mut self, change: &Change) -> bool {
        let (position, at) = (change.position.0.cast_signed(), change.recorded_at.micros());
        let stamps = [1, position, at, position, at].map(Value::from);
        let event = match &change.what {
            What::Event(event) => event,
            What::LotActive(..) => return false,
            What::Slot(key) => {
                const NOTHING_SAID: [Value; 7] = [
                    Value::Text(None),
                    Value::Integer(None),
                    Value::Integer(None),
                    Value::Integer(None),
                    Value::Text(None),
                    Value::Integer(Some(0)),
                    Value::Integer(None),
                ];
                self.slots.extend(key.columns().map(Value::from));
                self.slots.extend(NOTHING_SAID);
                return true;
            }
        };
        match event {
            CatalogueEvent::WarehouseCreated { no, code, name } => {
                let texts = [&**code, &**name, &folded(code), &folded(name)].map(Value::from);
                self.warehouses.push(i64::from(no.0).into());
                self.warehouses.extend(texts);
                let [active, stamps @ ..] = stamps;
                let policy = i64::from(NegativeStock::default().code());
                self.warehouses.extend([active, policy.into()]);
                self.warehouses.extend(stamps);
            }
            CatalogueEvent::ProductCreated { no, name } => {
                self.products.push(i64::from(no.0).into());
                self.products.extend(
                    [&**name, &folded(name)]
                        .map(Value::from)
                        .into_iter()
                        .chain(stamps),
                );
            }
            CatalogueEvent::VariantCreated {
                no,
                sku,
                name,
                product,
                expires_at,
                tracks_lots,
            } => {
                let texts = [&**sku, &**name, &folded(sku), &folded(name)].map(Value::from);
                self.variants.push(i64::from(no.0).into());
                self.variants.extend(texts);
                self.variants.push(product.map(|no| i64::from(no.0)).into());
                self.variants.push(expires_at.map(Timestamp::micros).into());
                self.variants.push(i64::from(*tracks_lots).into());
                self.variants.extend(stamps);
            }
            CatalogueEvent::LotCreated {
                no,
                of,
                code,
                expires_at,
            } => {
                self.lots.push(i64::from(no.0).into());
                self.lots.push(i64::from(of.0).into());
                self.lots.extend([&**code, &folded(code)].map(Value::from));
                self.lots.push(expires_at.map(Timestamp::micros).into());
                self.lots.extend(stamps);
            }
            _ => return false,
        }
        true
    }
}

pub(super) async fn write(connection: &mut Connection<'_>, changes: &[Change]) -> Result<(), sqlx::Error> {
    let mut created = Created::default();
    for change in changes {
        if !created.take(change) {
            created.flush(connection).await?;
            update(connection, change).await?;
        }
    }
    created.flush(connection).await
}

/// Columns to set, and their values.
#[derive(Default)]
struct Sets(Vec<(&'static str, Value)>);

impl Sets {
    fn text(&mut self, column: &'static str, folded_column: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.0.push((column, text.into()));
            self.0.push((folded_column, folded(text).as_str().into()));
        }
    }

    fn integer(&mut self, column: &'static str, value: Option<Option<i64>>) {
        if let Some(value) = value {
            self.0.push((column, value.into()));
        }
    }
}

async fn update(connection: &mut Connection<'_>, change: &Change) -> Result<(), sqlx::Error> {
    let mut sets = Sets::default();
    let event = match &change.what {
        What::Event(event) => event,
        What::Slot(_) => return Ok(()),
        What::LotActive(lot, active) => {
            let of = sets.active("lots", lot.0, *active);
            return sets.run(connection, of, change).await;
        }
    };
    let of = match event {
        CatalogueEvent::WarehouseChanged { no, code, name } => {
            sets.text("code", "code_folded", code.as_deref());
            sets.text("name", "name_folded", name.as_deref());
            ("warehouses", no.0)
        }
        CatalogueEvent::ProductChanged { no, name } => {
            sets.text("name", "name_folded", Some(name));
            ("products", no.0)
        }
        CatalogueEvent::VariantChanged {
            no,
            sku,
            name,
            product,
            expires_at,
            tracks_lots,
        } => {
            sets.integer("tracks_lots", tracks_lots.map(|tracks| Some(i64::from(tracks))));
            sets.text("sku", "sku_folded", sku.as_deref());
            sets.text("name", "name_folded", name.as_deref());
            sets.integer(
                "product",
                product.map(|product| product.map(|no| i64::from(no.0))),
            );
            sets.integer("expires_at", expires_at.map(|at| at.map(Timestamp::micros)));
            ("variants", no.0)
        }
        CatalogueEvent::WarehousePolicyChanged { no, negative_stock } => {
            let policy = i64::from(negative_stock.code());
            sets.integer("negative_stock", Some(Some(policy)));
            ("warehouses", no.0)
        }
        CatalogueEvent::WarehouseActivated(no) => sets.active("warehouses", no.0, true),
        CatalogueEvent::WarehouseDeactivated(no) => sets.active("warehouses", no.0, false),
        CatalogueEvent::ProductActivated(no) => sets.active("products", no.0, true),
        CatalogueEvent::ProductDeactivated(no) => sets.active("products", no.0, false),
        CatalogueEvent::VariantActivated(no) => sets.active("variants", no.0, true),
        CatalogueEvent::VariantDeactivated(no) => sets.active("variants", no.0, false),
        CatalogueEvent::SlotChanged {
            warehouse,
            variant,
            change: slot,
        } => {
            let (warehouse, variant) = (*warehouse, *variant);
            return slots::change(connection, StockKey { warehouse, variant }, slot, change).await;
        }
        CatalogueEvent::WarehouseCreated { .. }
        | CatalogueEvent::ProductCreated { .. }
        | CatalogueEvent::VariantCreated { .. }
        | CatalogueEvent::LotCreated { .. } => return Ok(()),
        CatalogueEvent::LotChanged { no, expires_at } => {
            sets.integer("expires_at", Some(expires_at.map(Timestamp::micros)));
            ("lots", no.0)
        }
    };
    sets.run(connection, of, change).await
}

impl Sets {
    /// Changes the row of a table with a number.
    async fn run(
        self,
        connection: &mut Connection<'_>,
        (table, no): (&'static str, u32),
        change: &Change,
    ) -> Result<(), sqlx::Error> {
        let mut sets = self;
        sets.0.push(("changed", change.position.0.cast_signed().into()));
        sets.0.push(("changed_at", change.recorded_at.micros().into()));
        let columns: Vec<String> = sets
            .0
            .iter()
            .enumerate()
            .map(|(index, (column, _))| format!("{column} = ${}", index + 1))
            .collect();
        let sql = format!(
            "update {table} set {} where no = ${}",
            columns.join(", "),
            columns.len() + 1
        );
        let mut update = query(AssertSqlSafe(sql));
        for (_, value) in sets.0 {
            update = update.bind(value);
        }
        update.bind(i64::from(no)).execute(connection).await?;
        Ok(())
    }

    fn active(&mut self, table: &'static str, no: u32, active: bool) -> (&'static str, u32) {
        self.0.push(("active", i64::from(active).into()));
        (table, no)
    }
}

/// How a text is searched for, without regard to case, in codes, SKUs and names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Search {
    /// It stands at the beginning.
    Prefix(String),
    /// It stands anywhere.
    Anywhere(String),
}

/// Which rows of the catalogue to list. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CatalogueFilter {
    /// Only what this is found in.
    pub search: Option<Search>,
    /// Only what is active, or is not.
    pub active: Option<bool>,
    /// Only variants of this product. Concerns variants only.
    pub product: Option<ProductNo>,
    /// Only lots of this variant. Concerns lots only.
    pub variant: Option<VariantNo>,
    /// Only lots that expire at this instant or earlier. Concerns lots only.
    pub expires_by: Option<Timestamp>,
    /// Only these numbers; an empty list lets none pass.
    pub numbers: Option<Vec<u32>>,
    /// Only this code or SKU, exactly. Does not concern products.
    pub code: Option<String>,
}

/// A table of the catalogue, as its lists need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    name: &'static str,
    columns: &'static str,
    code: Option<&'static str>,
    searched: &'static [&'static str],
    has_product: bool,
    is_lots: bool,
}

pub(crate) mod select {
    //! The tables of the catalogue.
    use super::Table;

    pub(crate) const WAREHOUSES: Table = Table {
        name: "warehouses",
        columns: "no, active, created, created_at, changed, changed_at, name, code, negative_stock",
        code: Some("code"),
        searched: &["code_folded", "name_folded"],
        has_product: false,
        is_lots: false,
    };
    pub(crate) const PRODUCTS: Table = Table {
        name: "products",
        columns: "no, active, created, created_at, changed, changed_at, name",
        code: None,
        searched: &["name_folded"],
        has_product: false,
        is_lots: false,
    };
    pub(crate) const VARIANTS: Table = Table {
        name: "variants",
        columns: "no, active, created, created_at, changed, changed_at, name, sku, product, expires_at, tracks_lots",
        code: Some("sku"),
        searched: &["sku_folded", "name_folded"],
        has_product: true,
        is_lots: false,
    };
    pub(crate) const LOTS: Table = Table {
        name: "lots",
        columns: "no, active, created, created_at, changed, changed_at, code, variant, expires_at",
        code: Some("code"),
        searched: &["code_folded"],
        has_product: false,
        is_lots: true,
    };
}

fn conditions(table: Table, filter: &CatalogueFilter) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(numbers) = &filter.numbers {
        conditions.one_of("no", numbers.iter().map(|no| i64::from(*no)));
    }
    if let (Some(column), Some(code)) = (table.code, &filter.code) {
        conditions.compare_text(column, "=", code.clone());
    }
    if let Some(active) = filter.active {
        conditions.equals("active", i64::from(active));
    }
    if let Some(product) = filter.product.filter(|_| table.has_product) {
        conditions.equals("product", i64::from(product.0));
    }
    if let Some(variant) = filter.variant.filter(|_| table.is_lots) {
        conditions.equals("variant", i64::from(variant.0));
    }
    if let Some(at) = filter.expires_by.filter(|_| table.is_lots) {
        conditions.compare("expires_at", "<=", at.micros());
    }
    match &filter.search {
        Some(Search::Prefix(text)) => conditions.any_like(table.searched, format!("{}%", pattern(text))),
        Some(Search::Anywhere(text)) => conditions.any_like(table.searched, format!("%{}%", pattern(text))),
        None => {}
    }
    conditions
}

/// `text` as a pattern of `like` that means nothing but itself.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in folded(text).chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// The rows of a table that pass `filter`, by number, from after the number `after`.
pub(crate) async fn list<T>(
    connection: &mut Connection<'_>,
    table: Table,
    filter: &CatalogueFilter,
    (after, skip, limit): (u32, i64, i64),
    read: impl Fn(&Row) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, sqlx::Error> {
    let mut conditions = conditions(table, filter);
    if after > 0 {
        conditions.compare("no", ">", i64::from(after));
    }
    let Table { name, columns, .. } = table;
    let clause = conditions.clause();
    let page = conditions.page(limit, skip);
    let sql = format!("select {columns} from {name}{clause} order by no{page}");
    let rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

/// How many rows of a table pass `filter`.
pub(crate) async fn total(
    connection: &mut Connection<'_>,
    table: Table,
    filter: &CatalogueFilter,
) -> Result<i64, sqlx::Error> {
    let conditions = conditions(table, filter);
    let sql = format!("select count(*) from {}{}", table.name, conditions.clause());
    conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// The variants in whose SKU or name, or in whose product's name, `text` stands, in any case.
pub(crate) async fn found_variants(
    connection: &mut Connection<'_>,
    text: &str,
) -> Result<HashSet<VariantNo>, sqlx::Error> {
    let columns = ["v.sku_folded", "v.name_folded", "p.name_folded"];
    let mut conditions = Conditions::default();
    conditions.any_like(&columns, format!("%{}%", pattern(text)));
    let sql = format!(
        "select v.no from variants v left join products p on p.no = v.product{}",
        conditions.clause()
    );
    let rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_all(connection)
        .await?;
    let no = |row: &Row| Ok(VariantNo(row.try_get::<i64>(0)? as u32));
    rows.iter().map(no).collect()
}

/// The SKU of each of `variants`, and the name of its product, or its own where it has none.
pub(crate) async fn names_of_variants(
    connection: &mut Connection<'_>,
    variants: impl Iterator<Item = VariantNo>,
) -> Result<HashMap<VariantNo, (String, String)>, sqlx::Error> {
    let mut conditions = Conditions::default();
    conditions.one_of("v.no", variants.map(|no| i64::from(no.0)));
    let sql = format!(
        "select v.no, v.sku, coalesce(p.name, v.name)
         from variants v left join products p on p.no = v.product{}",
        conditions.clause()
    );
    let rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_all(connection)
        .await?;
    let named = |row: &Row| {
        let no = VariantNo(row.try_get::<i64>(0)? as u32);
        Ok((no, (row.try_get(1)?, row.try_get(2)?)))
    };
    rows.iter().map(named).collect()
}

/// The name of every warehouse.
pub(crate) async fn names_of_warehouses(
    connection: &mut Connection<'_>,
) -> Result<HashMap<WarehouseNo, String>, sqlx::Error> {
    let rows = query("select no, name from warehouses")
        .fetch_all(connection)
        .await?;
    let named = |row: &Row| Ok((WarehouseNo(row.try_get::<i64>(0)? as u32), row.try_get(1)?));
    rows.iter().map(named).collect()
}

/// Number, whether active, and the four stamps, which every row begins with.
type Opening = (u32, bool, Position, Timestamp, Position, Timestamp);

fn read_opening(row: &Row) -> Result<Opening, sqlx::Error> {
    let integer = |index: usize| row.try_get::<i64>(index);
    Ok((
        integer(0)? as u32,
        integer(1)? != 0,
        Position(integer(2)?.cast_unsigned()),
        Timestamp::from_micros(integer(3)?),
        Position(integer(4)?.cast_unsigned()),
        Timestamp::from_micros(integer(5)?),
    ))
}

pub(crate) fn read_warehouse(row: &Row) -> Result<WarehouseRow, sqlx::Error> {
    let (no, active, created, created_at, changed, changed_at) = read_opening(row)?;
    let (no, name, code) = (WarehouseNo(no), row.try_get(6)?, row.try_get(7)?);
    let policy = u8::try_from(row.try_get::<i64>(8)?).ok();
    let unknown = || sqlx::Error::Decode("there is no such policy".into());
    Ok(WarehouseRow {
        no,
        code,
        name,
        active,
        negative_stock: policy.and_then(NegativeStock::from_code).ok_or_else(unknown)?,
        created,
        created_at,
        changed,
        changed_at,
    })
}

pub(crate) fn read_product(row: &Row) -> Result<ProductRow, sqlx::Error> {
    let (no, active, created, created_at, changed, changed_at) = read_opening(row)?;
    Ok(ProductRow {
        no: ProductNo(no),
        name: row.try_get(6)?,
        active,
        created,
        created_at,
        changed,
        changed_at,
    })
}

pub(crate) fn read_variant(row: &Row) -> Result<VariantRow, sqlx::Error> {
    let (no, active, created, created_at, changed, changed_at) = read_opening(row)?;
    let product = row.try_get::<Option<i64>>(8)?.map(|no| ProductNo(no as u32));
    let expires_at = row.try_get::<Option<i64>>(9)?.map(Timestamp::from_micros);
    let (no, name, sku) = (VariantNo(no), row.try_get(6)?, row.try_get(7)?);
    Ok(VariantRow {
        no,
        sku,
        name,
        product,
        expires_at,
        tracks_lots: row.try_get::<i64>(10)? != 0,
        active,
        created,
        created_at,
        changed,
        changed_at,
    })
}

pub(crate) fn read_lot(row: &Row) -> Result<LotRow, sqlx::Error> {
    let (no, active, created, created_at, changed, changed_at) = read_opening(row)?;
    Ok(LotRow {
        no: VariantNo(no),
        variant: VariantNo(row.try_get::<i64>(7)? as u32),
        code: row.try_get(6)?,
        expires_at: row.try_get::<Option<i64>>(8)?.map(Timestamp::from_micros),
        active,
        created,
        created_at,
        changed,
        changed_at,
    })
}
