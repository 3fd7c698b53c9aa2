"""Executes: the only code that changes the target database."""
