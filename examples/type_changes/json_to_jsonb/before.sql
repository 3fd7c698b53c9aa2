create table t(id int primary key, c json);
insert into t select i, json_build_object('a',i) from generate_series(1,500) i;
