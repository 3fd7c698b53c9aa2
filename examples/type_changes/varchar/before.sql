create table t(id int primary key, c text not null default 'none' check (c <> ''));
insert into t select i, repeat('x', 1+i%19) from generate_series(1,500) i;
create index on t(lower(c));
create index on t(c text_pattern_ops);
