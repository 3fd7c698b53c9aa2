create table t(id int primary key, c int, exclude using btree (c with =));
