alter table t alter c type float using random();
