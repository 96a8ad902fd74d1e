-- Runs, the views that each compared, and what it found. Files from before there were migrations have these already.

create table if not exists runs (
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
);

create index if not exists runs_by_state on runs (state, id);

create table if not exists compared (
    run integer not null,
    view text not null,
    generation integer not null,
    position integer not null,
    rows integer not null,
    differing integer not null,
    damage text,
    primary key (run, view)
) without rowid;

create table if not exists differences (
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
