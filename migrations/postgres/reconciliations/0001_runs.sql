-- The reconciliations of every ledger, in the schema bincard_reconciliations: the same columns as `reconciliations.db` has,
-- which the program asks with the same SQL. They do not follow from the log.

create table ledgers (
    no int8 generated always as identity primary key,
    id uuid not null unique,
    -- One more whenever a node takes the right to do the ledger's runs; whoever writes names his own.
    epoch int8 not null default 0,
    -- Nobody else takes it before this, by the database's clock.
    until timestamptz not null default '-infinity'
)
with (fillfactor = 20);

create table runs (
    ledger int8 not null,
    id int8 not null,
    state int8 not null,
    author text collate "C" not null,
    asked_at int8 not null,
    started_at int8,
    ended_at int8,
    position int8,
    as_of int8,
    known_at int8,
    warehouse int8,
    variant int8,
    differing int8 not null default 0,
    error text collate "C",
    cancel_asked int8 not null default 0,
    applies int8 not null default 0,
    is_compared int8 not null default 0,
    -- What it does now and how far it is, as the node that does it says once a second.
    phase text collate "C",
    folded int8,
    rows int8,
    primary key (ledger, id)
);

create index runs_by_state on runs (ledger, state, id);

create table compared (
    ledger int8 not null,
    run int8 not null,
    view text collate "C" not null,
    generation int8 not null,
    position int8 not null,
    rows int8 not null,
    differing int8 not null,
    damage text collate "C",
    unnamed int8 not null default 0,
    primary key (ledger, run, view)
);

create table differences (
    ledger int8 not null,
    run int8 not null,
    no int8 not null,
    view text collate "C" not null,
    tbl text collate "C" not null,
    key text collate "C" not null,
    warehouse int8,
    variant int8,
    field text collate "C",
    expected text collate "C",
    found text collate "C",
    first int8,
    primary key (ledger, run, no)
);

create table sources (
    ledger int8 not null,
    run int8 not null,
    name text collate "C" not null,
    reported_at int8,
    measures int8 not null,
    primary key (ledger, run)
);

create table lines (
    ledger int8 not null,
    run int8 not null,
    no int8 not null,
    named text collate "C" not null,
    warehouse int8,
    variant int8,
    problem text collate "C",
    quantity int8 not null,
    at_report int8,
    now int8,
    reserved int8,
    picked int8,
    packed int8,
    held int8,
    unexplained int8,
    agreed_run int8,
    agreed_at int8,
    in_transit int8,
    correction int8,
    refused text collate "C",
    primary key (ledger, run, no)
);

create table agreed (
    ledger int8 not null,
    warehouse int8 not null,
    variant int8 not null,
    measures int8 not null,
    run int8 not null,
    at int8 not null,
    primary key (ledger, warehouse, variant, measures)
);
