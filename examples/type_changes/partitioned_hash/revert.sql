alter table seats alter code type varchar(9) using code::varchar(9);
alter table seats alter id type int;
alter table seats add constraint as_number check (code ~ '^[0-9]+$');
