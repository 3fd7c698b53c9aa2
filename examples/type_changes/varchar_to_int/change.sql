alter table t alter c type int using trim(c)::int;
