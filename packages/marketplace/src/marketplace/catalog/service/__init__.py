"""The operations of the catalogue, one file for each kind of thing."""
