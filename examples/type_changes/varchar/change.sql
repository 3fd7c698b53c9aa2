alter table t alter c type varchar(20);
