alter table seats drop constraint as_number;
alter table seats alter id type bigint;
alter table seats alter code type int using code::int;
