"""One revision on its way: the door that its statements pass, what is decided there, its transaction, its end."""
