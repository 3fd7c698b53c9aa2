create table t(id int primary key, c int);
create publication pp for table t;
