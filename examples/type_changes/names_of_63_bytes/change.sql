alter table "My Sch"."Tab ""le" alter "äääääääääääääääääääääääääääääää" type bigint;
