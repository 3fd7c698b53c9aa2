create table t(a int, b int, v text, primary key(b,a) include (v));
insert into t select i,i,'x' from generate_series(1,500) i;
create table u(x int, y int, foreign key (x,y) references t(b,a) match full);
create index on t(v) include(a);
