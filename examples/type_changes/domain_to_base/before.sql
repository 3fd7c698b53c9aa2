create domain dd as int check (value>0);
create table t(id int primary key, c dd default 4);
insert into t select i,i from generate_series(1,500) i;
