create table t(id int primary key, c text compression pglz);
insert into t select i, repeat(md5(i::text),200) from generate_series(1,50) i;
