create table t(id int primary key, c varchar);
insert into t select i, i::text||' ' from generate_series(1,500) i;
