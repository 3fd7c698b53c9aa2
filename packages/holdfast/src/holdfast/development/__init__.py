"""Verbs for databases whose contents may be lost: sync and reset. Never in production."""
