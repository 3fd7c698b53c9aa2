"""Says where a revision is after an error, and which command goes on: the same words in every message."""

# The command that tries again or goes on, by the direction of the revision.
COMMAND: dict[str, str] = {"up": "holdfast run", "down": "holdfast revert"}


def rolled_back(revision: str, direction: str) -> tuple[str, str]:
    """Say that nothing is left of the revision, and what to do."""
    if direction == "up":
        says = f"Revision {revision} was rolled back; those before it stay."
    else:
        says = f"The revert of {revision} was rolled back; the revision stays applied."
    return says, (
        f"Correct what the message names, then run again: {COMMAND[direction]}. What is applied: holdfast status"
    )


def half_way(revision: str, direction: str) -> tuple[str, str]:
    """Say that part of the revision is committed and recorded, and what to do."""
    what = f"Revision {revision}" if direction == "up" else f"The revert of {revision}"
    return f"{what} is half-way: what it sent before this statement is done and recorded.", (
        f"Correct what the message names, then go on where it stopped: {COMMAND[direction]}. What is left: holdfast "
        "status. If it can never finish: holdfast abandon"
    )
