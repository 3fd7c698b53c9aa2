alter table events alter id type bigint, alter amount type bigint;
