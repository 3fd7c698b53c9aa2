create table t(id int primary key, c text collate "C" unique);
insert into t select i, i from generate_series(1,500) i;
create index on t(c collate "POSIX");
