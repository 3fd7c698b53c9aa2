"""Every error of holdfast: what happened, why, what to do now; and its exit status.

An error is a dataclass whose fields are named in its three texts. A field never holds a secret.
"""

from dataclasses import dataclass
from typing import ClassVar


class HoldfastError(Exception):
    """Base of all errors: `what` happened, `why`, and `remedy`, something to paste or to run."""

    # 1: found something; 2: wrong usage; 3: could not (safe to run again). Others: see the class.
    exit_status: ClassVar[int] = 3
    what: ClassVar[str]
    why: ClassVar[str]
    remedy: ClassVar[str]

    def parts(self) -> tuple[str, str, str]:
        """What happened, why, what to do, with the fields filled in."""
        fields = vars(self)
        return (
            self.what.format(**fields),
            self.why.format(**fields),
            self.remedy.format(**fields),
        )

    def __str__(self) -> str:
        return "\n".join(self.parts())


@dataclass(kw_only=True, eq=False)
class UnknownConfiguration(HoldfastError):
    """No Alembic project was found where one was looked for."""

    looked_in: str
    exit_status = 2
    what = "No Alembic project found: looked in {looked_in}."
    why = "A project is an alembic.ini, or [tool.holdfast] script_location in a pyproject.toml."
    remedy = "Run in the folder of the project, or name the file: holdfast -c path/to/alembic.ini"
