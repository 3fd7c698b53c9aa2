"""Orders: checkout, the states of an order, its payment, and who may see what of it."""
