"""What holds for each of a kind, such as servers or generators of projects, is tried here on one or two of them.

`./dev prove everywhere` runs the same tests on all.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

Case = TypeVar("Case")


def everywhere() -> bool:
    """Whether this is the proof."""
    return os.environ.get("TEST_EVERYWHERE") == "1"


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the tests that are marked `everywhere` out of what was collected, except in the proof."""
    if everywhere():
        return
    left_out = [item for item in items if item.get_closest_marker("everywhere")]
    items[:] = [item for item in items if not item.get_closest_marker("everywhere")]
    config.hook.pytest_deselected(items=left_out)


def each(cases: Sequence[Case], *, here: int) -> Sequence[Case]:
    """All cases in the proof, the first `here` of them in the tests."""
    return cases if everywhere() else cases[:here]


def named(cases: Iterable[Case], *, here: Collection[str]) -> list[Case]:
    """All cases in the proof, those of these names in the tests: names of folders or functions, texts as written."""
    names = {_name(case): case for case in cases}
    assert names.keys() >= set(here), f"unknown: {set(here) - names.keys()}"
    return [case for name, case in names.items() if everywhere() or name in here]


def _name(case: object) -> str:
    return case.name if isinstance(case, Path) else getattr(case, "__name__", str(case))
