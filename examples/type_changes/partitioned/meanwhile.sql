create table events_4 partition of events for values from ('2026-05-01') to ('2026-06-01');
insert into events (day, kind, amount) values ('2026-05-02', 1, 8);
