"""The golden table `observed.txt` as a whole; its lines are compared, and written, by `test_examples.py`.

HOLDFAST_TEST_OBSERVED=write ./dev test packages/holdfast/tests/rewrite/test_examples.py
"""

import re

from contract import EXAMPLES
from observed import lines

LONG = re.compile(
    r"(scans|rewrites) \w+ under (ACCESS EXCLUSIVE|EXCLUSIVE|SHARE ROW EXCLUSIVE|SHARE)\b(?! UPDATE)"
)


def test_no_online_form_scans_under_a_lock_that_blocks_users() -> None:
    """What the table says, said once."""
    assert [line for line in lines() if " online: " in line and LONG.search(line)] == []


def test_every_example_is_in_it() -> None:
    """As written and online, on both servers, and nothing else."""
    ways = [
        f"{major} {example.name} {way}"
        for major in (16, 18)
        for example in EXAMPLES
        for way in ("as written", "online")
    ]
    assert [line.split(":")[0] for line in lines()] == sorted(ways)
