"""Races that anybody can run: what goes wrong the usual way, and what does not here."""
