"""The names by which holdfast is known in a database: its schema, the schema's layout, its migration lock."""

SCHEMA = "holdfast"
LAYOUT = "holdfast layout 3"  # the comment of its table `leader`, and of the schema
# Brought up to date by the next run: without the names of version tables, and without what waits for `finish`.
FIRST_LAYOUT, SECOND_LAYOUT = "holdfast layout 1", "holdfast layout 2"
KEY = int.from_bytes(b"holdfast")  # of the advisory lock that a migrator holds
STEP_KEY = KEY + 1  # of the one that it holds while a step outside a transaction runs
GUARD_KEY = int.from_bytes(b"hold")  # and a process id: held while the guard watches that process
FIRED_KEY = (
    GUARD_KEY + 1
)  # and a process id: held by the guard once it has cancelled what that process executes
