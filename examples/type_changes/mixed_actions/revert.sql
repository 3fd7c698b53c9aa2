alter table t drop constraint new, alter a type int using a / 2, add constraint old check (a > -5), add d int,
    alter b drop not null, drop constraint t_b_key, alter b type int using b::int, drop constraint t_p_fkey, drop e;
