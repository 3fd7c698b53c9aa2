alter table t alter id type int;
