create table t(id int primary key, c text);
insert into t select i, md5(i::text) from generate_series(1,500) i;
create index t_e on t(lower(c), id);
alter index t_e alter column 1 set statistics 500;
create index t_g on t using gin (to_tsvector('english', c));
create statistics st (dependencies, ndistinct) on c, id from t;
alter table t alter c set statistics 300, alter c set (n_distinct=-0.5), alter c set storage external;
