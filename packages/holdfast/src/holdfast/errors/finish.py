"""Errors of changes that wait for `holdfast finish`: of finishing them, and of taking them back."""

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_error


@light_error
class NotTakenBack(HoldfastError):
    """A revert has ended, and something of its revision still waits for `holdfast finish`."""

    revision: str
    waiting: tuple[str, ...]
    what = "The revert of {revision} does not take back what still waits: {waiting}"
    why = "No statement of its downgrade() is the inverse of that, and nothing may be left of a reverted revision."
    remedy = (
        "Write the inverse in downgrade(): add the column, create the table, change the name back; then"
        " holdfast revert. Or drop it for good first: holdfast finish"
    )


@light_error
class ShadowCarriesMore(HoldfastError):
    """Other objects depend on the second name of a column, and would be dropped with it."""

    waiting: str
    found: str
    what = "Nothing was finished of {waiting}: something else depends on its new name: {found}."
    why = (
        "Until then the new name is a column of its own. It is dropped when the old column gets that name, and what"
        " depends on it would be dropped with it."
    )
    remedy = "Drop it, or make it on the old name; then go on: holdfast finish"


@light_error
class ChangedWhileItWaited(HoldfastError):
    """Somebody has removed one of the two names of a column, and only a person knows which rows are right."""

    waiting: str
    missing: str
    clear: str
    number: int
    what = "Nothing was finished of {waiting}: there is no column {missing} any more."
    why = "It was dropped or renamed behind holdfast's back; since then the triggers that keep both names equal fail."
    remedy = (
        "Restore it; or give the remaining column the name that it should have, and end this by hand: {clear};"
        " DELETE FROM holdfast.waiting WHERE id = {number}"
    )


@light_error
class StillNeeded(HoldfastError):
    """Other objects depend on what would be dropped, and PostgreSQL refuses."""

    waiting: str
    found: str
    what = "Nothing was finished of {waiting}: {found}"
    why = "PostgreSQL does not drop what other objects need, and these were made or kept while it waited."
    remedy = "Drop or change what needs it; then go on: holdfast finish"


@light_error
class StillInUse(HoldfastError):
    """There are signs that somebody still uses what would be dropped."""

    waiting: tuple[str, ...]
    signs: tuple[str, ...]
    exit_status = 1
    what = "Nothing was finished, because something still seems to use what waits: {waiting}"
    why = "What was seen: {signs}"
    remedy = (
        "Stop what is named there, and try again: holdfast finish. Calls and writes are counted from now on,"
        " so that earlier ones do not stand in the way of the next try."
    )


@light_error
class CannotTellUse(HoldfastError):
    """Nothing was seen that uses what would be dropped, but that is no proof."""

    waiting: tuple[str, ...]
    unseen: tuple[str, ...]
    exit_status = 1
    what = "Nothing that waits was finished yet: {waiting}"
    why = "Nobody was seen using it, but that is no proof: {unseen}"
    remedy = (
        "Set HOLDFAST_RELEASE to the new release in the application and here; or, if you know that the old"
        " release is gone: holdfast finish --yes"
    )
