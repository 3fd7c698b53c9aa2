alter table t alter c type int using c::int;
