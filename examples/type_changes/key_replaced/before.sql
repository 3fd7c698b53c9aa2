create table t(id int constraint k primary key, a varchar(9) not null unique, b int check (b > 0));
create index ix on t(lower(a)) include (b); create unique index u on t(b);
alter table t add f boolean not null default true;
create index partial on t(id) where f;
insert into t select i, i, i from generate_series(1,500) i;
