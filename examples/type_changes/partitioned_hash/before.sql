create table seats (id serial, touched int not null default 0, hall int not null, code varchar(9) constraint as_number check (code ~ '^[0-9]+$'))
    partition by hash (hall);
create table seats_0 partition of seats for values with (modulus 3, remainder 0);
create table seats_1 partition of seats for values with (modulus 3, remainder 1);
create table "seats 2" partition of seats for values with (modulus 3, remainder 2);
alter table seats add constraint one_code unique nulls not distinct (code, hall) with (fillfactor = 70);
create index on seats (id);
create function noted() returns trigger language plpgsql as $$ begin new.touched := new.touched + 1; return new; end $$;
create trigger noted before update on seats for each row execute function noted();
insert into seats (hall, code) select n % 20, n::text from generate_series(1, 1000) as n;
