-- Which ledger each row is of, and how far a run is that is under way: the same columns as in PostgreSQL, where ledgers share
-- tables. A file has the runs of one ledger, whose number is 0.

create table new_runs (
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
insert into new_runs
    select 0, id, state, author, asked_at, started_at, ended_at, position, as_of, known_at, warehouse, variant, differing, error,
        cancel_asked, applies, is_compared, null, null, null from runs;
drop table runs;
alter table new_runs rename to runs;
create index runs_by_state on runs (ledger, state, id);

create table new_compared (
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
insert into new_compared select 0, run, view, generation, position, rows, differing, damage, unnamed from compared;
drop table compared;
alter table new_compared rename to compared;

create table new_differences (
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
insert into new_differences
    select 0, run, no, view, tbl, key, warehouse, variant, field, expected, found, first from differences;
drop table differences;
alter table new_differences rename to differences;

create table new_sources (
    ledger integer not null,
    run integer not null,
    name text not null,
    reported_at integer,
    measures integer not null,
    primary key (ledger, run)
) without rowid;
insert into new_sources select 0, run, name, reported_at, measures from sources;
drop table sources;
alter table new_sources rename to sources;

create table new_lines (
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
insert into new_lines
    select 0, run, no, named, warehouse, variant, problem, quantity, at_report, now, reserved, picked, packed, held, unexplained,
        agreed_run, agreed_at, in_transit, correction, refused from lines;
drop table lines;
alter table new_lines rename to lines;

create table new_agreed (
    ledger integer not null,
    warehouse integer not null,
    variant integer not null,
    measures integer not null,
    run integer not null,
    at integer not null,
    primary key (ledger, warehouse, variant, measures)
) without rowid;
insert into new_agreed select 0, warehouse, variant, measures, run, at from agreed;
drop table agreed;
alter table new_agreed rename to agreed;
