alter table t alter c type dd;
