create table t(id int primary key, c int, o text);
insert into t select i, i, 'me' from generate_series(1,500) i;
alter table t enable row level security;
create policy p on t using (o = current_user);
grant select(id, c), update (c) on t to public;
grant all on t to public;
