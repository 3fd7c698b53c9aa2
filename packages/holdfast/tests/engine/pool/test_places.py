"""Who gets what, decided without a server: the records are stand-ins with an identity."""

from sqlalchemy.pool import ConnectionPoolEntry

from holdfast.engine.pool.places import Figures, Place, Places, Request


class Record(ConnectionPoolEntry):
    """A connection in name only."""


def woken_request(log: list[str], name: str) -> Request:
    return Request(lambda: log.append(name))


def test_free_places_first_then_nothing() -> None:
    """Two places, two free places; the third has to wait."""
    places = Places(maximum=2)
    assert [places.take(), places.take(), places.take()] == [Place.FREE, Place.FREE, None]


def test_the_connection_used_last_is_used_next() -> None:
    """The others grow idle, and can be closed."""
    places, old, new = Places(maximum=2, taken=2), Record(), Record()
    places.give(old, now=1)
    places.give(new, now=2)
    assert [places.take(), places.take()] == [new, old]


def test_the_longest_wait_is_served_first() -> None:
    """In the order in which they came; a freed place serves as well as a connection."""
    places, record, log = Places(maximum=1, taken=1), Record(), list[str]()
    first, second = woken_request(log, "first"), woken_request(log, "second")
    assert [places.take_or_wait(first), places.take_or_wait(second)] == [None, None]
    places.give(record, now=1)
    places.release()
    assert log == ["first", "second"]
    assert [places.withdraw(first), places.withdraw(second)] == [record, Place.FREE]


def test_who_withdraws_is_not_served() -> None:
    """What comes afterwards goes to the next one, or is idle."""
    places, record = Places(maximum=1, taken=1), Record()
    request = woken_request([], "")
    places.take_or_wait(request)
    assert places.withdraw(request) is None
    places.give(record, now=1)
    assert places.take() is record


def test_reserve_takes_what_is_missing_to_the_minimum() -> None:
    """Not more, also when asked twice."""
    places = Places(maximum=5, taken=1)
    assert [places.reserve(3), places.reserve(3), places.taken] == [2, 0, 3]


def test_figures() -> None:
    """What is neither idle nor in use is being opened."""
    places = Places(maximum=9, taken=6)
    places.give(Record(), now=1)
    places.used = {Record(): 1.0, Record(): 2.0}
    places.requests.append(woken_request([], ""))
    assert places.figures() == Figures(maximum=9, idle=1, used=2, connecting=3, waiting=1)
