alter table t alter c type varchar(20) using c::varchar(20);
