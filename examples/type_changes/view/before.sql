create table t(id int primary key, c int);
create view v as select c from t;
