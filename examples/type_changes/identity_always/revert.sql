alter table t alter column id type int;
