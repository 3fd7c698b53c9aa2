"""Compares two schemas, and writes the lines of a revision that lead from one to the other."""
