create table t(id int primary key, c int constraint nonull not null, constraint pos check (c>0));
insert into t select i, i from generate_series(1,500) i;
alter table t add constraint later check (c<>777) not valid;
comment on constraint pos on t is 'p';
