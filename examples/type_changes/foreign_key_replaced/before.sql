create table p(id serial primary key, v int);
create table c(id serial primary key, p int not null constraint fk references p on delete cascade);
create index on c(p);
insert into p(v) select i from generate_series(1,500) i; insert into c(p) select i from generate_series(1,500) i;
