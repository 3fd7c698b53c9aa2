"""Decides what happens to one statement of a revision: executed now, queued, or checked first. Start reading here.

Pure: `route` looks at a frozen state and at what is known of the statement. `RevisionInterceptor` does what it says.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum

from holdfast.rewrite.statement import DDL, StatementKind


class Mode(Enum):
    """The state of a revision's function when a statement arrives."""

    FRESH = "a database that nobody uses: everything runs as it is written"
    COLLECTING = "nothing long so far: DDL waits until the function returns or looks"
    HOLDING = "its transaction holds a lock that blocks users"
    QUEUED = "something long waits, or has run: what can wait waits, and is committed in units"
    SINGLE_TRANSACTION = "what was taken lives as long as the transaction: it cannot be divided"
    SAVEPOINT = "inside a savepoint errors are expected in place"
    AUTOCOMMIT = "each statement commits itself"
    DRIVER_IN_HAND = "the author has the driver's own connection: nothing may wait any more"
    SECOND_CONNECTION = "not on the migration's connection"
    REPLAYING = "an interrupted function is called again: it gets what it got before"


class WaitingWork(IntEnum):
    """The heaviest kind of work among the statements that wait."""

    NOTHING = 0
    FREE = 1  # nobody waits for it: new tables, types, functions
    LOCKS = 2  # it locks a table in use for a moment
    LONG = 3  # it runs in steps, or writes rows


class Before(Enum):
    """What is done with the waiting statements before the new one's turn."""

    NOTHING = "it goes on waiting"
    EXECUTE = "it is executed in the revision's transaction"
    RUN = "it is run and committed"


class Then(Enum):
    """What is done with the statement itself."""

    DRIVER = "the driver executes it, as it is written"
    CHECKED = "the same, unless it would last on a large table"
    WAIT = "it waits behind what waits already"
    NOW = "it is executed at once, in its online form if it has one"
    BESIDE = "the same, on the connection that it came on"
    GIVEN_BACK = "it is not executed; its result is the recorded one"
    CONTROL = "it begins or ends a transaction or a savepoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What happens to one statement."""

    then: Then
    before: Before = Before.NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionState:
    """What one call of a revision's function has done so far."""

    waiting: WaitingWork = WaitingWork.NOTHING
    holds: bool = False  # the open transaction has a lock that blocks users
    wrote: bool = False  # the open transaction has rows of a table in use
    has_done_something: bool = False  # in the open transaction
    has_run: bool = False  # the queue, at least once: the function is committed in parts
    is_divided: bool = False  # perhaps committed by us, where its author has not
    is_single: bool = False
    savepoints: int = 0
    has_driver: bool = False

    def mode(self, place: "StatementPlace") -> Mode:
        """Give the mode for a statement that arrives at this place."""
        by_place = MODES_OF_PLACES.get(place)
        if by_place is not None:
            return by_place
        if self.savepoints:
            return Mode.SAVEPOINT
        if self.is_single:
            return Mode.SINGLE_TRANSACTION
        if self.has_driver:
            return Mode.DRIVER_IN_HAND
        if self.has_run or self.waiting is WaitingWork.LONG:
            return Mode.QUEUED
        return Mode.HOLDING if self.holds else Mode.COLLECTING


class StatementPlace(Enum):
    """The place at which a statement of a revision arrives."""

    TRANSACTION = "in the revision's transaction"
    AUTOCOMMIT = "on the migration's connection, in AUTOCOMMIT"
    SECOND_CONNECTION = "on another connection of its engine"
    REPLAY = "before the point where the function was interrupted"
    FRESH = "in a database that nobody uses"


MODES_OF_PLACES = {
    StatementPlace.AUTOCOMMIT: Mode.AUTOCOMMIT,
    StatementPlace.FRESH: Mode.FRESH,
    StatementPlace.REPLAY: Mode.REPLAYING,
    StatementPlace.SECOND_CONNECTION: Mode.SECOND_CONNECTION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the decision needs to know of a statement."""

    kind: StatementKind
    is_result_seen: bool = False  # op.execute() and op.bulk_insert() give nothing back
    lasts: bool = False  # a write of all rows that runs in batches
    commits_itself: bool = False  # on a second connection: it is in AUTOCOMMIT


SETTINGS = (StatementKind.SET, StatementKind.SET_LOCAL)
DRIVER = Route(then=Then.DRIVER)


def route(
    state: RevisionState, statement: Sighting, *, place: StatementPlace = StatementPlace.TRANSACTION
) -> Route:
    """Decide what happens to the statement."""
    mode = state.mode(place)
    if mode is Mode.FRESH:
        return DRIVER
    if mode is Mode.SECOND_CONNECTION:
        return _on_second_connection(state, statement)
    if statement.kind is StatementKind.TRANSACTION_CONTROL:
        return Route(then=Then.CONTROL)
    if statement.kind in SETTINGS:
        return DRIVER
    if mode is Mode.REPLAYING:
        return Route(then=Then.GIVEN_BACK)
    if statement.kind is StatementKind.HARMLESS:
        return DRIVER
    if mode is Mode.AUTOCOMMIT:
        is_ddl = statement.kind is StatementKind.DDL
        return Route(then=Then.NOW) if is_ddl else DRIVER
    if mode in (Mode.SAVEPOINT, Mode.SINGLE_TRANSACTION):
        is_ddl = statement.kind is StatementKind.DDL
        return Route(then=Then.CHECKED) if is_ddl else DRIVER
    if statement.kind in DDL:
        is_at_once = mode is Mode.DRIVER_IN_HAND
        return Route(then=Then.NOW if is_at_once else Then.WAIT)
    return _data(state, statement, mode=mode)


def before_a_look(state: RevisionState) -> Before:
    """What to do before the function reads rows: users do not wait while it works on them."""
    if state.waiting >= WaitingWork.LOCKS or state.holds:
        return Before.RUN
    return Before.EXECUTE if state.waiting else Before.NOTHING


def before_what_cannot_be_divided(state: RevisionState) -> Before:
    """What to do before a look at the catalog, a savepoint or LOCK TABLE: one transaction if it is short."""
    if state.waiting is WaitingWork.LONG:
        return Before.RUN
    return Before.EXECUTE if state.waiting else Before.NOTHING


def _data(state: RevisionState, statement: Sighting, *, mode: Mode) -> Route:
    """Decide about a statement that is neither DDL nor a setting, in a transaction that can be divided."""
    if statement.kind in (StatementKind.NEVER_SPLIT, StatementKind.CATALOG_READ):
        return Route(then=Then.DRIVER, before=before_what_cannot_be_divided(state))
    if statement.kind is not StatementKind.WRITE or statement.is_result_seen:
        return Route(then=Then.DRIVER, before=before_a_look(state))
    if mode is Mode.DRIVER_IN_HAND:
        return Route(then=Then.NOW) if statement.lasts else DRIVER
    if statement.lasts or mode is not Mode.COLLECTING or state.waiting is WaitingWork.LOCKS:
        return Route(then=Then.WAIT)
    return Route(then=Then.DRIVER, before=before_a_look(state))


def _on_second_connection(state: RevisionState, statement: Sighting) -> Route:
    """Decide about a statement on another connection: never queued, but it may need what is queued."""
    before = Before.RUN if state.waiting is WaitingWork.LONG else Before.NOTHING
    is_ddl = statement.kind is StatementKind.DDL and statement.commits_itself
    return Route(then=Then.BESIDE if is_ddl else Then.DRIVER, before=before)
