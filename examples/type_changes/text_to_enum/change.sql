alter table t alter c type e using c::e;
