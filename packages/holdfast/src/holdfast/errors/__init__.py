"""Every error of holdfast: what happened, why, what to do now; and its exit status. One file an area.

An error is a dataclass whose fields are named in its three texts. A field never holds a secret.
"""

from datetime import timedelta
from typing import ClassVar

from holdfast.errors.durations import in_words
from holdfast.errors.standing import COMMAND


class HoldfastError(Exception):
    """Base of all errors: `what` happened, `why`, and `remedy`, something to paste or to run."""

    # 1: found something; 2: wrong usage; 3: could not (safe to run again). Others: see the class.
    exit_status: ClassVar[int] = 3
    again = COMMAND[
        "up"
    ]  # the command that tries again or goes on; `downgrade` sets that of a revert
    what: ClassVar[str]
    why: ClassVar[str]
    remedy: ClassVar[str]

    def parts(self) -> tuple[str, str, str]:
        """What happened, why, what to do, with the fields filled in."""
        fields = {"again": self.again} | {
            name: _readable(value) for name, value in vars(self).items()
        }
        return (
            self.what.format(**fields),
            self.why.format(**fields),
            self.remedy.format(**fields),
        )

    def __str__(self) -> str:
        return "\n".join(self.parts())


def _readable(value: object) -> object:
    if isinstance(value, timedelta):
        return in_words(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value
