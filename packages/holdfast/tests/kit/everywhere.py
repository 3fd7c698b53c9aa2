"""What holds for each of a kind, such as servers or generators of projects, is tried here on one or two of them.

`./dev prove everywhere` runs the same tests on all.
"""

import os
from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")


def each(cases: Sequence[Case], *, here: int) -> Sequence[Case]:
    """All cases in the proof, the first `here` of them in the tests."""
    return cases if os.environ.get("HOLDFAST_TEST_EVERYWHERE") == "1" else cases[:here]
