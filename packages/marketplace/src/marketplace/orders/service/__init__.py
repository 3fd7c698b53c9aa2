"""What orders do: they are placed, seen, moved, paid for, and expire."""
