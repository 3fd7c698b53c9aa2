"""A check of the doctor: it judges evidence that was gathered before, and touches nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.engine.environment import Stamp
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings
from holdfast.migrate.status import Status
from holdfast.observe.citus import Cluster
from holdfast.observe.keys import Keys, NarrowModel
from holdfast.observe.leftovers import Leftover
from holdfast.observe.server import Connected
from holdfast.observe.standbys import ReadingOnStandby


class Severity(StrEnum):
    """How much a verdict matters."""

    OK = "ok"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How the project's revisions compare with the database."""

    connected: Connected  # the connection that env.py makes
    heads: tuple[str, ...]  # of the project
    surplus_heads: tuple[str, ...]  # where there is more than one, and not all of them are wanted
    relations: int  # that people have made in the database
    status: Status
    narrow_models: tuple[NarrowModel, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStandby:
    """A standby named in HOLDFAST_STANDBYS: what it answered, or why it could not be asked."""

    name: str
    said: ReadingOnStandby | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was found out about a database and the way to it; the checks judge it."""

    settings: Settings
    application: Connected
    stamp: Stamp | None
    history: History | None = None  # None: nobody looked, or there is no project
    leftovers: tuple[Leftover, ...] = ()
    keys: Keys = field(default_factory=Keys)
    standbys: tuple[NamedStandby, ...] = ()  # of HOLDFAST_STANDBYS
    cluster: Cluster | None = None  # of Citus
    unknown_root_refused: bool | None = None  # None: not tried

    @property
    def in_production(self) -> bool:
        """Whether this process runs in production, where more is refused."""
        return self.settings.profile is Profile.PRODUCTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check says of the evidence: a severity, a text, and what to do."""

    severity: Severity
    says: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to the evidence; docs/doctor.md lists all checks by their numbers.

    `judge` gives None where there is nothing to judge. `at_start`: a production process does not start
    while it refuses, unless HOLDFAST_ALLOW has its name.
    """

    number: int
    name: str
    title: str
    judge: Callable[[Evidence], Verdict | None]
    at_start: bool = False


def fine(says: str) -> Verdict:
    """Give the verdict that all is as it should be."""
    return Verdict(severity=Severity.OK, says=says)


def warn(says: str, remedy: str) -> Verdict:
    """Give a verdict that warns: it works today, and will fail one day."""
    return Verdict(severity=Severity.WARN, says=says, remedy=remedy)


def refuse(says: str, remedy: str) -> Verdict:
    """Give a verdict that refuses: this is unsafe in every profile."""
    return Verdict(severity=Severity.REFUSE, says=says, remedy=remedy)


def refuse_in_production(evidence: Evidence, says: str, remedy: str) -> Verdict:
    """Give a verdict that refuses in production and is fine elsewhere."""
    return refuse(says, remedy) if evidence.in_production else fine(f"{says} (not production)")


def warn_in_production(evidence: Evidence, says: str, remedy: str) -> Verdict:
    """Give a verdict that warns in production and is fine elsewhere."""
    return warn(says, remedy) if evidence.in_production else fine(f"{says} (not production)")
