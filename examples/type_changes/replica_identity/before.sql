create table t(id int primary key, c int not null);
insert into t select i, i from generate_series(1,500) i;
create unique index t_u on t(c);
alter table t replica identity using index t_u;
