alter table t alter c type json;
