"""What is done with all of a person's data."""
