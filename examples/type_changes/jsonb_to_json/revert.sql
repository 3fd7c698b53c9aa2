alter table t alter c type jsonb;
