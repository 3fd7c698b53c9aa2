alter table events alter id type int, alter amount type int;
