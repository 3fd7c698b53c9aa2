"""What customers order: checkout, the way of an order, its payment, and who sees which of it."""
