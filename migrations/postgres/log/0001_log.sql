-- The event store: ledgers, their commits and events, snapshots. Schema bincard_log; docs/format.md explains it.

create table ledgers (
    no int4 generated always as identity primary key,
    tenant text not null unique,
    id uuid not null unique,
    -- The end of the log. Whoever appends locks this row: the order of commits is the order of positions.
    position int8 not null default 0,
    commit int8 not null default 0,
    hash bytea not null,
    recorded_at int8 not null,
    -- Where the ledger has gone, once it has moved: nothing is appended here any more.
    moved_to text
)
-- Room beside each row, so that a new head is written where the old one stands.
with (fillfactor = 20);

create table commits (
    ledger int4 not null,
    first int8 not null,
    count int4 not null,
    commit int8 not null,
    recorded_at int8 not null,
    hash bytea not null,
    primary key (ledger, first)
);

create table events (
    ledger int4 not null,
    -- CRC32C of the position and the record.
    crc int4 not null,
    position int8 not null,
    version int8 not null,
    -- 0 is the catalogue, any other number a warehouse.
    stream int8 not null,
    -- BLAKE3, 128 bits, of the space and the text of the idempotency key.
    key uuid,
    record bytea not null,
    primary key (ledger, position)
);
create unique index events_by_version on events (ledger, stream, version);
create unique index events_by_key on events (ledger, key) where key is not null;
-- Records are small and do not compress: no time is spent on trying.
alter table events alter column record set storage external;

create table snapshots (
    ledger int4 not null,
    position int8 not null,
    -- The log's hash there.
    hash bytea not null,
    -- BLAKE3 of the snapshot.
    digest bytea not null,
    parts int4 not null,
    primary key (ledger, position)
);
create table snapshot_parts (
    ledger int4 not null,
    position int8 not null,
    part int4 not null,
    bytes bytea not null,
    primary key (ledger, position, part)
);
alter table snapshot_parts alter column bytes set storage external;
