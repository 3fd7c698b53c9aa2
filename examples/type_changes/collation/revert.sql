alter table t alter c type text collate "C";
