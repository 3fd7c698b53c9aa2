"""Errors of a step: rows that it does not allow, and what it has left invalid."""

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_error


@light_error
class DataInTheWay(HoldfastError):
    """Rows that a constraint or a unique index does not allow."""

    revision: str
    step: str
    found: str
    count: int
    examples: tuple[str, ...]
    query: str
    exit_status = 1
    what = (
        "Revision {revision} stopped at: {step}. In the way: {count} {found}, such as {examples}."
    )
    why = "These rows were there before; new ones of that kind may already be refused. Nothing was lost."
    remedy = "Find them: {query}; correct or remove them; then go on where it stopped: {again}"


@light_error
class CopyDisturbed(HoldfastError):
    """Somebody has changed the triggers that keep the copy of a column equal."""

    revision: str
    what = "Revision {revision} stopped before the copy of a column takes its place."
    why = (
        "The triggers that keep the copy equal to the column were changed or switched off meanwhile, or a"
        " trigger that fires after them was created: rows written since may differ."
    )
    remedy = "Give the copy up, which leaves the table as it was: holdfast abandon. Then run again: holdfast run"


@light_error
class PartitionsNotCopied(HoldfastError):
    """A partition that was created or attached during a column copy is one of which no column can be copied."""

    revision: str
    table: str
    reasons: str
    what = "Revision {revision} stopped before the copy of a column of {table} takes its place."
    why = "The partitions are not those it began with. {reasons}"
    remedy = "Correct that, or detach the partition; then run again: {again}. To give the copy up: holdfast abandon"


@light_error
class LeftUnfinished(HoldfastError):
    """A step reported success and left something invalid behind."""

    what_is: str
    step: str
    what = "After the step '{step}' the {what_is} is not valid."
    why = "The server reported success, but another session has interfered meanwhile."
    remedy = "Run again: {again}. It finds the leftover, removes it and starts the step afresh."


@light_error
class LeftBehind(HoldfastError):
    """All steps are done, and an object that they made is not valid."""

    revision: str
    found: tuple[str, ...]
    ways_out: tuple[str, ...]
    what = "All steps of revision {revision} are done, but not all that they made is valid: {found}"
    why = "It was valid when its step ended, so another session has interfered since."
    remedy = "Repair it: {ways_out} Then record it: {again}"
