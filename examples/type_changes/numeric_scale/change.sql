alter table t alter c type numeric(12,4);
