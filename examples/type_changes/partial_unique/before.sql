create table t(id int primary key, c int, del boolean default false, unique nulls not distinct (c));
insert into t select i, i from generate_series(1,500) i;
create unique index t_p on t(c) where not del;
create unique index t_n on t(del) where c is null;
comment on index t_p is 'hallo';
alter table t cluster on t_c_key;
