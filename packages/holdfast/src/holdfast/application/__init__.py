"""What an application calls: its database object, and what happens before it serves."""
