-- What was counted or reported outside, line by line, and when each key last agreed with such a source. Files from before
-- there were migrations may have these already.

create table if not exists sources (
    run integer primary key,
    name text not null,
    reported_at integer,
    measures integer not null
);

create table if not exists lines (
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
    primary key (run, no)
) without rowid;

create table if not exists agreed (
    warehouse integer not null,
    variant integer not null,
    measures integer not null,
    run integer not null,
    at integer not null,
    primary key (warehouse, variant, measures)
) without rowid;
