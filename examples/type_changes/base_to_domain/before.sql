create domain dd as bigint check (value>0);
create table t(id int primary key, c int default 4);
insert into t select i,i from generate_series(1,500) i;
