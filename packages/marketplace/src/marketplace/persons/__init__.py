"""A person's rights over their data: to get all of it, and to have it deleted."""
