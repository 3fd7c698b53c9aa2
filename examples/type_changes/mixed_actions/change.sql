alter table t add constraint new check (a > 0), alter a type bigint using a * 2, drop constraint old, drop column d,
    alter b set not null, alter b type text, add unique (b), add foreign key (p) references p, add e int default 4;
