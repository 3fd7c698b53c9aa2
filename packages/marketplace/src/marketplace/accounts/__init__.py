"""Accounts and their sessions: registration, log in, refresh, log out."""
