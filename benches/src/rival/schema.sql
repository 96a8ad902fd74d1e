-- What a team would lay out by hand for the stock events API: a counter of what is on hand, and its history.
-- There are no foreign keys on the busy tables: the transaction reads warehouse and variant anyway, and a
-- key's check would lock the one warehouse's row from every transaction at once.

create table warehouses (
    id uuid primary key,
    code text not null unique,
    active boolean not null default true
);

create table variants (
    id uuid primary key,
    sku text not null unique,
    active boolean not null default true,
    expires_at timestamptz
);

-- Room is left in every page, so that an update stays in its page and touches no index.
create table stock (
    warehouse_id uuid not null,
    variant_id uuid not null,
    on_hand bigint not null check (on_hand >= 0),
    primary key (warehouse_id, variant_id)
) with (fillfactor = 70);

create table stock_events (
    id uuid primary key,
    idempotency_key text unique,
    kind text not null,
    warehouse_id uuid not null,
    occurred_at timestamptz not null,
    reason_code text,
    notes text,
    created_by_id uuid not null,
    created_at timestamptz not null,
    -- Tells a retry from another request under the same key.
    request_hash bigint not null
);
create index stock_events_by_time on stock_events (warehouse_id, occurred_at);

create table stock_movements (
    event_id uuid not null,
    line_number integer not null,
    id uuid not null,
    warehouse_id uuid not null,
    variant_id uuid not null,
    quantity bigint not null,
    on_hand_after bigint not null,
    occurred_at timestamptz not null,
    primary key (event_id, line_number)
);
create index stock_movements_by_variant on stock_movements (variant_id, warehouse_id, occurred_at);
