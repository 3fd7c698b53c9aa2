create table t(id int primary key, c int[] default '{}');
insert into t select i, array[i] from generate_series(1,500) i;
create index on t using gin(c);
