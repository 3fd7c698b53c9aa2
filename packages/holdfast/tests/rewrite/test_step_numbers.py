"""One count of a revision's steps: whatever is done of it, a step keeps its number."""

from holdfast.rewrite.steps import (
    Around,
    CountedUnit,
    around,
    from_setting,
    in_words,
    may_grow,
    next_step,
    to_setting,
    total,
)

# Two statements of the function, a unit of three steps, one statement more, a unit of two.
UNITS = [
    CountedUnit(before=2, steps=3, is_guess=False),
    CountedUnit(before=1, steps=2, is_guess=False),
]


def test_what_is_ahead_of_a_unit_and_behind_it() -> None:
    """The statements of the function count, where they were executed."""
    assert total(UNITS) == 8
    assert around(UNITS, 0) == Around(ahead=2, behind=3)
    assert around(UNITS, 1, may_be_more=True) == Around(ahead=6, behind=0, may_be_more=True)


def test_where_a_run_goes_on() -> None:
    """At the first step that is not done, whichever unit it is in; behind the last where all are."""
    left = [(0, 0), (1, 0), (3, 0), (3, 1), (3, 2)]
    found = []
    for first, second in left:
        done = [
            CountedUnit(before=2, steps=3, done=first),
            CountedUnit(before=1, steps=2, done=second),
        ]
        found.append(next_step(done))
    assert found == [3, 4, 7, 8, 9]


def test_what_the_journal_keeps_of_it() -> None:
    """Back it comes as it was counted; a journal of an older version has no count, and then nothing is claimed."""
    kept = to_setting(CountedUnit(before=2, steps=3, is_guess=False))
    assert from_setting(kept, steps=None, done=0) == CountedUnit(before=2, steps=3, is_guess=False)
    assert from_setting(kept, steps=4, done=1) == CountedUnit(
        before=2, steps=4, done=1, is_guess=False
    )
    assert from_setting(None, steps=None, done=0) == CountedUnit()


def test_a_guess_is_told_as_one() -> None:
    """Whatever is counted before its turn: as long as it may have more steps, nobody says how many there are."""
    units = [UNITS[0], CountedUnit(steps=1)]
    assert around(units, 0) == Around(ahead=2, behind=1, may_be_more=True)
    assert around(units, 1) == Around(ahead=5, behind=0)  # which counts itself by then
    assert (may_grow(units), may_grow([UNITS[0], CountedUnit(steps=1, done=1)])) == (True, False)
    kept = to_setting(units[1])
    assert from_setting(kept, steps=None, done=0) == units[1]
    assert from_setting(kept, steps=9, done=0) == CountedUnit(steps=9, is_guess=False)


def test_in_words() -> None:
    """As long as the function has not ended there may be more."""
    assert in_words(4, 9) == "step 4 of 9"
    assert in_words(4, 9, may_be_more=True) == "step 4 of 9 or more"
