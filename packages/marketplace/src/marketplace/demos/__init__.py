"""Races that anybody can run: what goes wrong when done the usual way, and does not when done ours."""
