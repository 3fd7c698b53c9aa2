"""Where a revision stands after an error, in words, and the command that goes on: the same in every message."""

# The command that tries again or goes on, by the direction of the revision.
COMMAND: dict[str, str] = {"up": "holdfast run", "down": "holdfast revert"}


def rolled_back(revision: str, direction: str) -> str:
    """Nothing is left of it."""
    if direction == "up":
        return f"Revision {revision} was rolled back; those before it stay."
    return f"The revert of {revision} was rolled back; the revision stays applied."


def half_way(revision: str, direction: str) -> str:
    """A part of it is committed and recorded."""
    what = f"Revision {revision}" if direction == "up" else f"The revert of {revision}"
    return f"{what} is half-way: what it sent before this statement is done and recorded."
