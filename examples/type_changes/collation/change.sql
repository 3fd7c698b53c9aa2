alter table t alter c type varchar(20) collate "ucs_basic";
