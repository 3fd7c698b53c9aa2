create table t(id int primary key, c text);
insert into t select i, repeat('x', i%22) from generate_series(1,500) i;
