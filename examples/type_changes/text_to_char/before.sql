create table t(id int primary key, c text not null);
insert into t select i, left('abc', i%4) from generate_series(1,500) i;
create index on t(c);
