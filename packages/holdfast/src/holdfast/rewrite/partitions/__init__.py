"""Turns a change of a partitioned table into steps partition by partition, beside users, and finds what is lacking."""
