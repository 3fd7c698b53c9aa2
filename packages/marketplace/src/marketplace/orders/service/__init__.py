"""The operations of orders: they are placed, seen, moved, paid for, and expire."""
