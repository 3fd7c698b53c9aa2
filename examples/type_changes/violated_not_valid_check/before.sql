create table t(id int primary key, c int, e int);
insert into t select i, i,i from generate_series(1,500) i;
alter table t add constraint later check (e<>77) not valid;
