create table t(c int default 3 not null, x text);
insert into t select i, 'x' from generate_series(1,500) i;
