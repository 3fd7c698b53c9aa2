"""One operation, one file; REWRITES names them in the order in which they are asked."""
