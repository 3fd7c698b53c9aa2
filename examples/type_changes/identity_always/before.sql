create table t(id int generated always as identity (start 100 increment 5) primary key, v text);
insert into t(v) select 'x' from generate_series(1,500);
grant usage on sequence t_id_seq to public;
