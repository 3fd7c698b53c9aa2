create schema "My Sch";
create table "My Sch"."Tab ""le"(id int primary key, "Co L" int unique, "äääääääääääääääääääääääääääääää" int not null check ("äääääääääääääääääääääääääääääää" > 0));
create index on "My Sch"."Tab ""le"("äääääääääääääääääääääääääääääää");
insert into "My Sch"."Tab ""le" select i, i, i from generate_series(1,500) i;
