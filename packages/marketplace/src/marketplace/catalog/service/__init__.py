"""What the catalogue does, one file for each kind of thing."""
