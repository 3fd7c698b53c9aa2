create table p(id int primary key); insert into p values (1);
create table t(id int primary key, a int constraint old check (a > -5), b int, c text, d int, p int default 1);
insert into t select i, i, i, 'c', i from generate_series(1,500) i;
