SET timezone = 'Europe/Paris';
alter table t alter c type timestamp;
