"""What accounts do: registration, one's own account, and the administration of all of them."""
