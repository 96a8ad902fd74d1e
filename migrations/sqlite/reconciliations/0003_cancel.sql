-- Whether the end of a run was asked for that is under way.
alter table runs add column cancel_asked integer not null default 0;

-- Programs from before there were migrations go by this, and leave a file alone that is beyond them.
pragma user_version = 3;
