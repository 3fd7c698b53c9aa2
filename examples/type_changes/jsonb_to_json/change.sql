alter table t alter c type json using c::json;
