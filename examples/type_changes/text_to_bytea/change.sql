alter table t alter c type bytea using c::bytea;
