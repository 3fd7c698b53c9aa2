set timezone='Europe/Paris';
create table t(id int primary key, c timestamp not null default now());
insert into t select i, '2025-01-01'::timestamp+i*interval'1h' from generate_series(1,500) i;
create index on t(c desc nulls last);
