alter table t alter a type int;
