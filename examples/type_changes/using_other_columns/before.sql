create table t(id int primary key, c int, d int default 7);
insert into t select i, i from generate_series(1,500) i;
