alter table t alter c type numeric(10,2);
