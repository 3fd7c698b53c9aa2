create table t(id int primary key, c numeric(10,2) default 1.5);
insert into t select i, i/3.0 from generate_series(1,500) i;
create index t_partial on t(id) where c > 5;
