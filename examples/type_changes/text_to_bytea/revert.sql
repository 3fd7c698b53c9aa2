alter table t alter c type text using convert_from(c, 'UTF8');
