create table p(id bigint primary key);
insert into p select generate_series(1,500);
create table t(id int primary key, c int not null references p on delete cascade deferrable initially deferred);
insert into t select i,i from generate_series(1,500) i;
set constraints all immediate;
create index t_c on t(c) with (fillfactor=70);
