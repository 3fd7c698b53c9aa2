alter table t alter c type char(3);
