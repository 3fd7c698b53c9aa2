create table t(id int primary key, c int, updated_at timestamptz default 'epoch');
create table aud(id int);
create function u() returns trigger language plpgsql as $$begin new.updated_at := now(); return new; end$$;
create function au() returns trigger language plpgsql as $$begin insert into aud values(new.id); return new; end$$;
insert into t select i, i from generate_series(1,500) i;
create trigger u before update on t for each row execute function u();
create trigger "~z" after update on t for each row execute function au();
