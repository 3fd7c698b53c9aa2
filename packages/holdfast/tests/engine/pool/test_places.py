"""Who gets what, decided without a server: the connections are stand-ins that only have a place."""

import gc
from dataclasses import dataclass, field

from everywhere import everywhere
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import integers

from holdfast.engine.pool.places import Figures, Place, Places, Request

MAXIMUM = 3


@dataclass(eq=False)
class Connection:
    """A connection in name only."""

    place: Place


@dataclass(eq=False)
class Waiter:
    """Somebody who waits, in a loop that may be closed."""

    name: str = ""
    log: list[str] = field(default_factory=list)
    is_closed: bool = False

    def wake(self) -> bool:
        self.log.append(self.name)
        return not self.is_closed

    def is_lost(self) -> bool:
        return self.is_closed


Asked = Request[Connection]


def full(maximum: int) -> tuple[Places[Connection], list[Connection]]:
    """All places are taken, by connections that are in use."""
    places = Places[Connection](maximum=maximum)
    used = [Connection(place) for place in places.reserve(maximum)]
    for connection in used:
        connection.place.used_since = 1.0
    return places, used


def test_free_places_first_then_nothing() -> None:
    """Two places, two free places; the third has to wait."""
    places = Places[Connection](maximum=2)
    first, second = places.take(Asked()), places.take(Asked())
    assert isinstance(first, Place)
    assert isinstance(second, Place)
    assert places.take(Asked()) is None


def test_the_connection_used_last_is_used_next() -> None:
    """The others grow idle, and can be closed."""
    places, (old, new) = full(2)
    places.give(old, now=1)
    places.give(new, now=2)
    assert [places.take(Asked()), places.take(Asked())] == [new, old]


def test_the_longest_wait_is_served_first() -> None:
    """In the order in which they came; a freed place serves as well as a connection."""
    places, (connection, other) = full(2)
    log: list[str] = []
    first, second = Asked(Waiter("first", log)), Asked(Waiter("second", log))
    assert [places.take_or_wait(first), places.take_or_wait(second)] == [None, None]
    places.give(connection, now=1)
    places.release(other.place)
    assert log == ["first", "second"]
    assert places.withdraw(first) is connection
    assert isinstance(places.withdraw(second), Place)


def test_who_withdraws_is_not_served() -> None:
    """What comes afterwards goes to the next one, or is idle."""
    places, (connection,) = full(1)
    request = Asked(Waiter())
    places.take_or_wait(request)
    assert places.withdraw(request) is None
    places.give(connection, now=1)
    assert places.take(Asked()) is connection


def test_reserve_takes_what_is_missing_to_the_minimum() -> None:
    """Not more, also when asked twice; nothing of a closed pool."""
    places = Places[Connection](maximum=5)
    taken = places.reserve(3)
    assert (len(taken), len(places.reserve(3)), places.taken) == (3, 0, 3)
    places.close()
    assert places.reserve(5) == []


def test_figures() -> None:
    """What is neither idle nor in use is being opened."""
    places, (idle, *used) = full(3)
    places.give(idle, now=1)
    used[0].place.used_since = None
    places.requests.append(Asked(Waiter()))
    assert places.figures() == Figures(maximum=3, idle=1, used=1, connecting=1, waiting=1)


def test_a_place_that_is_dropped_is_free() -> None:
    """Whatever has become of its holder; that it happened is noted."""
    places, used = full(1)
    used.clear()
    assert places.lost.get_nowait() is not None
    assert places.taken == 0
    assert isinstance(places.take(Asked()), Place)


def test_nothing_is_given_back_twice() -> None:
    """An interrupted return may be tried again: no connection is idle twice, no place free twice."""
    places, (one, other) = full(2)
    places.give(one, now=1)
    places.give(one, now=2)
    places.release(other.place)
    places.release(other.place)
    assert places.figures() == Figures(maximum=2, idle=1, used=0, connecting=0, waiting=0)


def test_the_places_of_another_pool_are_nobodys_here() -> None:
    """Those of the parent of a process: neither kept nor released."""
    _, (foreign,) = full(1)
    places, _used = full(1)
    places.release(foreign.place)
    assert (places.give(foreign, now=1), places.taken) == (False, 1)


def test_a_closed_pool_keeps_nothing() -> None:
    """What is idle is handed out to be closed, what comes later is refused."""
    places, (idle, used) = full(2)
    places.give(idle, now=1)
    assert places.close() == [idle]
    assert places.give(used, now=2) is False


class Machine(RuleBasedStateMachine):
    """Whatever happens in whatever order, every place is accounted for."""

    def __init__(self) -> None:
        super().__init__()
        self.places = Places[Connection](maximum=MAXIMUM)
        self.mine: list[Connection] = []  # what has been taken and not given back
        self.asked: list[Asked] = []

    def grant(self, grant: Connection | Place | None) -> None:
        if grant is not None:
            connection = Connection(grant) if isinstance(grant, Place) else grant
            assert connection not in self.mine
            connection.place.holder, connection.place.used_since = None, 1.0
            self.mine.append(connection)

    @rule()
    def take(self) -> None:
        self.grant(self.places.take(Asked()))

    @rule()
    def ask(self) -> None:
        request = Asked(Waiter())
        grant = self.places.take_or_wait(request)
        if grant is None:
            self.asked.append(request)
        self.grant(grant)

    @rule(which=integers(0, MAXIMUM))
    def withdraw(self, which: int) -> None:
        if self.asked:
            self.grant(self.places.withdraw(self.asked.pop(which % len(self.asked))))

    @rule(which=integers(0, MAXIMUM), now=integers(0, 9))
    def give(self, which: int, now: int) -> None:
        if self.mine:
            connection = self.mine.pop(which % len(self.mine))
            assert self.places.give(connection, now=now) != self.places.is_closed

    @rule(which=integers(0, MAXIMUM))
    def release(self, which: int) -> None:
        if self.mine:
            place = self.mine.pop(which % len(self.mine)).place
            self.places.release(place)
            self.places.release(place)

    @rule(which=integers(0, MAXIMUM))
    def drop(self, which: int) -> None:
        if self.mine:
            self.mine.pop(which % len(self.mine))
            gc.collect(0)

    @rule(which=integers(0, MAXIMUM))
    def close_a_loop(self, which: int) -> None:
        if self.asked:
            signal = self.asked.pop(which % len(self.asked)).signal
            assert isinstance(signal, Waiter)
            signal.is_closed = True
            self.places.take_from_the_lost()

    @rule()
    def reap(self) -> None:
        for _, connection in self.places.take_idle(lambda since, _: since < 5):
            self.places.release(connection.place)

    @rule()
    def close(self) -> None:
        for connection in self.places.close():
            self.places.release(connection.place)

    @invariant()
    def all_are_accounted_for(self) -> None:
        while not self.places.lost.empty():  # as the pool's thread does
            self.places.lost.get_nowait()
            self.places.serve()
        granted = sum(request.grant is not None for request in self.asked)
        idle = [connection for _, connection in self.places.idle]
        figures = self.places.figures()
        assert figures.used == len(self.mine)
        assert self.places.taken == len(self.mine) + len(idle) + granted <= MAXIMUM
        assert not set(idle) & set(self.mine)
        if figures.waiting:
            assert self.places.taken == MAXIMUM, "somebody waits and there is a place"
            assert not idle, "somebody waits and there is a connection"
        if self.places.is_closed:
            assert not idle


TestPlaces = Machine.TestCase
TestPlaces.settings = settings(
    max_examples=200 if everywhere() else 60, stateful_step_count=40, deadline=None
)
