-- How many rows of a view differ beside those that are named, of which there were at most a thousand.
alter table compared add column unnamed integer not null default 0;
update compared set unnamed = max(differing - 1000, 0);
