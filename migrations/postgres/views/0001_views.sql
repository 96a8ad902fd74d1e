-- The views: which ledgers have any, which generation of each is served, and which node feeds it. Schema bincard_views;
-- the tables of a generation stand in a schema of their own, bincard_view_<ledger>_<view>_<generation>. All of it follows
-- from the log and may be thrown away.

create table ledgers (
    no int8 generated always as identity primary key,
    id uuid not null unique
);

create table live (
    ledger int8 not null,
    view text collate "C" not null,
    generation int8 not null,
    -- Where it stands, for nodes that follow; in the same transaction as its checkpoint.
    position int8 not null,
    primary key (ledger, view)
)
-- Room beside each row, so that a new position is written where the old one stands.
with (fillfactor = 20);

create table owners (
    ledger int8 not null,
    view text collate "C" not null,
    -- A name that the process drew for itself.
    node text collate "C" not null,
    -- One more whenever another process begins to feed the view. It stands in the generation's checkpoint too, and whoever
    -- writes there names his own.
    epoch int8 not null,
    -- Nobody else takes the view before this, by the database's clock.
    until timestamptz not null,
    -- Whether somebody asks for the view to be built anew.
    rebuild bool not null default false,
    primary key (ledger, view)
)
with (fillfactor = 20);
