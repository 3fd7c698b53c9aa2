"""Every error of holdfast: what happened, why, what to do now; and its exit status. One file an area.

An error is a dataclass whose fields are named in its three texts. A field never holds a secret.
"""

import re
from datetime import timedelta
from typing import ClassVar

from holdfast.errors.durations import in_words
from holdfast.errors.standing import COMMAND

# The verbs that act on a project, as messages name them.
COMMANDS = re.compile(
    r"\bholdfast (abandon|baseline|check|doctor|drift|finish|generate|leave|pause|plan|reset|resume|revert|run|status"
    r"|sync)\b"
)


PYTHON = re.compile(r"\.py:\d+$")


class HoldfastError(Exception):
    """Base of all errors: `what` happened, `why`, and `remedy`, something to paste or to run."""

    # 1: found something; 2: wrong usage; 3: could not (safe to run again). Others: see the class.
    exit_status: ClassVar[int] = 3
    again = COMMAND[
        "up"
    ]  # the command that tries again or goes on; `downgrade` sets that of a revert
    place: str | None = None  # the line of an SQL script that was being executed: FILE:LINE
    options = ""  # with which the command line named the project, where its commands need them
    what: ClassVar[str]
    why: ClassVar[str]
    remedy: ClassVar[str]

    def parts(self) -> tuple[str, str, str]:
        """Give what happened, why, and what to do, with the fields filled in."""
        fields = {"again": self.again, "comment": self._comment} | {
            name: _readable(value) for name, value in vars(self).items()
        }
        what = self.what.format(**fields)
        return (
            what if self.place is None else f"{self.place}: {what}",
            self.why.format(**fields),
            self.remedy.format(**fields),
        )

    @property
    def _comment(self) -> str:
        """Give the sign that begins a comment on the error's line: `#` in Python, `--` in SQL."""
        if self.place is None:
            return "# (in SQL: --)"
        return "#" if PYTHON.search(self.place) else "--"

    def __str__(self) -> str:
        return with_options("\n".join(self.parts()), self.options)


def with_options(text: str, options: str) -> str:
    """Make the commands in a text name the project as the command line did, so that they can be pasted."""
    return COMMANDS.sub(rf"holdfast {options} \1", text) if options else text


def _readable(value: object) -> object:
    if isinstance(value, timedelta):
        return in_words(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value
