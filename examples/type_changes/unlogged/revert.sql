alter table t alter c type int;
