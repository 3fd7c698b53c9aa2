"""The operations on all of a person's data."""
