alter table t alter c type varchar;
