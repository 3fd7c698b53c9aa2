create schema "My Sch";
create table "My Sch"."Tab ""le"(id int primary key, "Co L" int unique, "äääääääääääääääääääääääääääääää" int not null check ("äääääääääääääääääääääääääääääää" > 0));
insert into "My Sch"."Tab ""le" select i, i, i from generate_series(1,500) i;
create statistics "My Sch"."St 1" on "Co L", id from "My Sch"."Tab ""le";
alter statistics "My Sch"."St 1" set statistics 300;
