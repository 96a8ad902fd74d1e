-- What transfers explain of a line, and what became of the corrections that were asked for with a run: its lines are
-- compared first, once; then each is corrected or refused.
alter table lines add column in_transit integer;
alter table lines add column correction integer;
alter table lines add column refused text;
alter table runs add column applies integer not null default 0;
alter table runs add column is_compared integer not null default 0;
