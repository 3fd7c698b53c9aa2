alter table "My Sch"."Tab ""le" alter "Co L" type int;
