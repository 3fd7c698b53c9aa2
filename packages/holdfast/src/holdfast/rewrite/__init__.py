"""Decides how a statement is executed: SQL and facts in, steps out. Pure: no driver, no clock, no environment."""
