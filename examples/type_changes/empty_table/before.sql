create table t(id serial primary key, c int default 3 not null);
