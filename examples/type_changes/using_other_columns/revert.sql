alter table t alter c type int using split_part(c, '/', 1)::int;
