alter table t alter c type text using (c || '');
