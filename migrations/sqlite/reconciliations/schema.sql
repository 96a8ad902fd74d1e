CREATE TABLE agreed (
    warehouse integer not null,
    variant integer not null,
    measures integer not null,
    run integer not null,
    at integer not null,
    primary key (warehouse, variant, measures)
) without rowid;

CREATE TABLE compared (
    run integer not null,
    view text not null,
    generation integer not null,
    position integer not null,
    rows integer not null,
    differing integer not null,
    damage text, unnamed integer not null default 0,
    primary key (run, view)
) without rowid;

CREATE TABLE differences (
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
    primary key (run, no)
) without rowid;

CREATE TABLE lines (
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
    agreed_at integer, in_transit integer, correction integer, refused text,
    primary key (run, no)
) without rowid;

CREATE TABLE runs (
    id integer primary key,
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
    error text
, cancel_asked integer not null default 0, applies integer not null default 0, is_compared integer not null default 0);

CREATE INDEX runs_by_state on runs (state, id);

CREATE TABLE sources (
    run integer primary key,
    name text not null,
    reported_at integer,
    measures integer not null
);
