"""What holdfast is known by in a database: its schema, the layout of that, and the lock of its migrator."""

SCHEMA = "holdfast"
LAYOUT = "holdfast layout 1"  # the comment of the schema
KEY = int.from_bytes(b"holdfast")  # of the advisory lock that a migrator holds
