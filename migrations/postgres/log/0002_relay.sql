-- Who carries events to NATS, and how far each ledger was carried. Schema bincard_log.

create table relay (
    -- One row: one node at a time, for every ledger.
    one bool primary key default true check (one),
    owner uuid not null,
    -- By this server's clock. Whoever finds it in the past may take over.
    until timestamptz not null
);

create table relayed (
    ledger int4 primary key,
    -- The last position that NATS acknowledged, a second old at most.
    position int8 not null
)
-- As in ledgers: a row is written where it stands.
with (fillfactor = 20);
