"""What a connection is made of: the URL, libpq's parameters, TLS."""
