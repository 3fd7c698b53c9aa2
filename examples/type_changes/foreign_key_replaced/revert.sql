alter table c drop constraint c_p_fkey;
alter table c alter p type int using p::int;
alter table p alter id type int using id::int;
alter table p alter id set default nextval('p_id_seq');
alter table c add constraint fk foreign key (p) references p on delete cascade;
