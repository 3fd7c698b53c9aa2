create unlogged table t(id int primary key, c int);
insert into t select i, i from generate_series(1,500) i;
create index on t(c);
