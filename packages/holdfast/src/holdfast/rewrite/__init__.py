"""Decides: SQL statements and facts in, steps out. Pure: no driver, no clock, no environment."""
