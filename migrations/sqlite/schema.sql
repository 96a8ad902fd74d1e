CREATE TABLE api_keys (
    no integer primary key,
    -- The id of the service user that the key acts as.
    id blob not null unique check (length(id) = 16),
    tenant text not null references tenants (name),
    name text not null,
    role text not null check (role in ('ADMIN', 'MANAGER', 'SELLER', 'VIEWER')),
    warehouses blob not null check (length(warehouses) % 16 = 0),
    plan text not null check (plan in ('standard', 'premium', 'service')),
    secret_hash blob not null check (length(secret_hash) = 32),
    -- The user who made it; none when it was made on the command line.
    created_by blob check (length(created_by) = 16),
    created_at integer not null,
    expires_at integer,
    last_used_at integer,
    revoked_at integer
) strict;

CREATE INDEX api_keys_by_tenant on api_keys (tenant, no);

CREATE TRIGGER api_keys_changed
after update of id, tenant, name, role, warehouses, plan, secret_hash, expires_at, revoked_at on api_keys
begin
    update caller_epochs set epoch = (select max(epoch) + 1 from caller_epochs) where slot = new.no % 256;
end;

CREATE TRIGGER api_keys_deleted
after delete on api_keys
begin
    update caller_epochs set epoch = (select max(epoch) + 1 from caller_epochs) where slot = old.no % 256;
end;

CREATE TABLE caller_epochs (
    slot integer primary key check (slot between 0 and 255),
    epoch integer not null
) strict;

CREATE TABLE refresh_tokens (
    hash blob primary key check (length(hash) = 32),
    session blob not null references sessions (id) on delete cascade,
    generation integer not null,
    -- In order of issue within the session.
    issue_no integer not null,
    issued_at integer not null
) strict, without rowid;

CREATE INDEX refresh_tokens_by_issue on refresh_tokens (issued_at);

CREATE INDEX refresh_tokens_by_session on refresh_tokens (session, generation);

CREATE TABLE secrets (
    name text primary key,
    bytes blob not null
) strict, without rowid;

CREATE TABLE sessions (
    id blob primary key check (length(id) = 16),
    user_no integer not null references users (no),
    -- The anchor is the token that the outstanding ones were issued from; they are one generation younger.
    anchor_hash blob not null check (length(anchor_hash) = 32),
    anchor_generation integer not null,
    created_at integer not null,
    expires_at integer not null
) strict, without rowid;

CREATE INDEX sessions_by_expiry on sessions (expires_at);

CREATE INDEX sessions_by_user on sessions (user_no);

CREATE TRIGGER sessions_ended
after delete on sessions
begin
    update caller_epochs set epoch = (select max(epoch) + 1 from caller_epochs) where slot = old.user_no % 256;
end;

CREATE TABLE tenants (
    name text primary key,
    created_at integer not null
) strict, without rowid;

CREATE TABLE users (
    no integer primary key,
    id blob not null unique check (length(id) = 16),
    tenant text not null references tenants (name),
    -- The number that people of this tenant see: 1, 2, 3… without gaps, since users are never deleted.
    alias integer not null,
    -- In lower case.
    email text not null unique,
    username text not null unique collate nocase,
    first_name text not null,
    last_name text not null,
    role text not null check (role in ('ADMIN', 'MANAGER', 'SELLER', 'VIEWER')),
    -- A SELLER's warehouses: their ids, sorted, one after another.
    warehouses blob not null check (length(warehouses) % 16 = 0),
    plan text not null check (plan in ('standard', 'premium', 'service')),
    active integer not null check (active in (0, 1)),
    -- A PHC string of argon2id.
    password_hash text not null,
    -- Goes up when every token issued before must stop working; access tokens carry it.
    token_version integer not null,
    created_at integer not null,
    unique (tenant, alias)
) strict;

CREATE TRIGGER users_changed
after update of id, tenant, alias, email, username, role, warehouses, plan, active, token_version on users
begin
    update caller_epochs set epoch = (select max(epoch) + 1 from caller_epochs) where slot = new.no % 256;
end;

CREATE TRIGGER users_deleted
after delete on users
begin
    update caller_epochs set epoch = (select max(epoch) + 1 from caller_epochs) where slot = old.no % 256;
end;
