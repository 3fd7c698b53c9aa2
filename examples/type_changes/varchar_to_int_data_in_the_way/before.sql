create table t(id int primary key, c varchar);
insert into t select i, i::text||case when i=77 then 'x' else '' end from generate_series(1,500) i;
