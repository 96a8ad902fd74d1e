-- Tenants, users, sessions and API keys. Instants are milliseconds since 1970-01-01T00:00:00Z.
--
-- Names that come from people are compared byte by byte: collate "C".

create table tenants (
    name text collate "C" constraint tenants_name primary key,
    created_at bigint not null
);

create table users (
    no bigint generated always as identity primary key,
    id uuid not null unique,
    tenant text collate "C" not null references tenants (name),
    -- The number that people of this tenant see: 1, 2, 3… without gaps, since users are never deleted.
    alias bigint not null,
    -- In lower case.
    email text collate "C" not null constraint users_email unique,
    username text collate "C" not null,
    first_name text not null,
    last_name text not null,
    role text not null check (role in ('ADMIN', 'MANAGER', 'SELLER', 'VIEWER')),
    -- A SELLER's warehouses: their ids, sorted, one after another.
    warehouses bytea not null check (length(warehouses) % 16 = 0),
    plan text not null check (plan in ('standard', 'premium', 'service')),
    active boolean not null,
    -- A PHC string of argon2id.
    password_hash text not null,
    -- Goes up when every token issued before must stop working; access tokens carry it.
    token_version bigint not null,
    created_at bigint not null,
    unique (tenant, alias)
);

-- A username is plain ASCII.
create unique index users_username on users (lower(username));

-- A family of refresh tokens: what began with one login.
create table sessions (
    id uuid primary key,
    user_no bigint not null references users (no),
    -- The anchor is the token that the outstanding ones were issued from; they are one generation younger.
    anchor_hash bytea not null check (length(anchor_hash) = 32),
    anchor_generation bigint not null,
    created_at bigint not null,
    expires_at bigint not null
);

create index sessions_by_user on sessions (user_no);
create index sessions_by_expiry on sessions (expires_at);

create table refresh_tokens (
    hash bytea primary key check (length(hash) = 32),
    session uuid not null references sessions (id) on delete cascade,
    generation bigint not null,
    -- In order of issue within the session.
    issue_no bigint not null,
    issued_at bigint not null
);

create index refresh_tokens_by_session on refresh_tokens (session, generation);
create index refresh_tokens_by_issue on refresh_tokens (issued_at);

create table api_keys (
    no bigint generated always as identity primary key,
    -- The id of the service user that the key acts as.
    id uuid not null unique,
    tenant text collate "C" not null references tenants (name),
    name text not null,
    role text not null check (role in ('ADMIN', 'MANAGER', 'SELLER', 'VIEWER')),
    warehouses bytea not null check (length(warehouses) % 16 = 0),
    plan text not null check (plan in ('standard', 'premium', 'service')),
    secret_hash bytea not null check (length(secret_hash) = 32),
    -- The user who made it; none when it was made on the command line.
    created_by uuid,
    created_at bigint not null,
    expires_at bigint,
    last_used_at bigint,
    revoked_at bigint
);

create index api_keys_by_tenant on api_keys (tenant, no);

create table secrets (
    name text collate "C" primary key,
    bytes bytea not null
);

-- What a process may keep in memory about a caller is good for as long as the epoch of the caller's slot stands.
-- Triggers move it, so that no writer can forget: not this program, not somebody with psql.
create table caller_epochs (
    slot bigint primary key check (slot between 0 and 255),
    epoch bigint not null
);

insert into caller_epochs (slot, epoch) select slot, 0 from generate_series(0, 255) as slots (slot);

-- One row. Whoever writes locks it until the commit: the nodes lock it first of all and so write one at a time, others
-- when a trigger draws an epoch. So epochs become visible in their order, and whoever has seen one has seen all that
-- are smaller.
create table newest_epoch (
    only_row boolean primary key default true check (only_row),
    epoch bigint not null
);

insert into newest_epoch (epoch) values (0);

-- The names are written out, for whoever writes with another search_path.
create function move_epochs(changed bigint[]) returns void language plpgsql as $$
declare
    newest bigint;
begin
    if cardinality(changed) > 0 then
        update bincard_accounts.newest_epoch set epoch = epoch + 1 returning epoch into strict newest;
        update bincard_accounts.caller_epochs set epoch = newest
        where slot in (select no % 256 from unnest(changed) as callers (no));
    end if;
end
$$;

create function caller_changed() returns trigger language plpgsql as $$
begin
    perform bincard_accounts.move_epochs(array[new.no]);
    return null;
end
$$;

create function callers_deleted() returns trigger language plpgsql as $$
begin
    perform bincard_accounts.move_epochs(array(select no from gone));
    return null;
end
$$;

create function sessions_ended() returns trigger language plpgsql as $$
begin
    perform bincard_accounts.move_epochs(array(select user_no from gone));
    return null;
end
$$;

create trigger users_changed
after update of id, tenant, alias, email, username, role, warehouses, plan, active, token_version on users
for each row execute function caller_changed();

create trigger users_deleted
after delete on users referencing old table as gone
for each statement execute function callers_deleted();

create trigger sessions_ended
after delete on sessions referencing old table as gone
for each statement execute function sessions_ended();

create trigger api_keys_changed
after update of id, tenant, name, role, warehouses, plan, secret_hash, expires_at, revoked_at on api_keys
for each row execute function caller_changed();

create trigger api_keys_deleted
after delete on api_keys referencing old table as gone
for each statement execute function callers_deleted();
