"""Receives every statement of a revision's function, and decides what happens to it."""
