CREATE TABLE "agreed" (
    ledger integer not null,
    warehouse integer not null,
    variant integer not null,
    measures integer not null,
    run integer not null,
    at integer not null,
    primary key (ledger, warehouse, variant, measures)
) without rowid;

CREATE TABLE "compared" (
    ledger integer not null,
    run integer not null,
    view text not null,
    generation integer not null,
    position integer not null,
    rows integer not null,
    differing integer not null,
    damage text,
    unnamed integer not null default 0,
    primary key (ledger, run, view)
) without rowid;

CREATE TABLE "differences" (
    ledger integer not null,
    run integer not null,
    no integer not null,
    view text not null,
    tbl text not null,
    key text not null,
    warehouse integer,
    variant integer,
    field text,
    expected text,
    found text,
    first integer,
    primary key (ledger, run, no)
) without rowid;

CREATE TABLE "lines" (
    ledger integer not null,
    run integer not null,
    no integer not null,
    named text not null,
    warehouse integer,
    variant integer,
    problem text,
    quantity integer not null,
    at_report integer,
    now integer,
    reserved integer,
    picked integer,
    packed integer,
    held integer,
    unexplained integer,
    agreed_run integer,
    agreed_at integer,
    in_transit integer,
    correction integer,
    refused text,
    primary key (ledger, run, no)
) without rowid;

CREATE TABLE "runs" (
    ledger integer not null,
    id integer not null,
    state integer not null,
    author text not null,
    asked_at integer not null,
    started_at integer,
    ended_at integer,
    position integer,
    as_of integer,
    known_at integer,
    warehouse integer,
    variant integer,
    differing integer not null default 0,
    error text,
    cancel_asked integer not null default 0,
    applies integer not null default 0,
    is_compared integer not null default 0,
    phase text,
    folded integer,
    rows integer,
    primary key (ledger, id)
) without rowid;

CREATE INDEX runs_by_state on runs (ledger, state, id);

CREATE TABLE "sources" (
    ledger integer not null,
    run integer not null,
    name text not null,
    reported_at integer,
    measures integer not null,
    primary key (ledger, run)
) without rowid;
