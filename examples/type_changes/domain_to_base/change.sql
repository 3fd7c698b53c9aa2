alter table t alter c type bigint;
