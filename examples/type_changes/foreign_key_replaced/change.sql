alter table c drop constraint fk;
alter table p alter id drop default;
alter table p alter id type text;
alter table c alter p type text;
alter table c add foreign key (p) references p (id) on delete cascade;
