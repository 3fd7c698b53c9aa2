create type e as enum('a','b');
create table t(id int primary key, c e not null default 'a');
insert into t select i, 'b' from generate_series(1,500) i;
create index on t(c);
