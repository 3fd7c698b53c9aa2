"""A plan that was kept, or a file that is none."""

from pathlib import Path

import pytest

from holdfast.errors.scratch import NotAPlan
from holdfast.preview.plan_file import read_plan

IS_JSON = "it is JSON, but not what holdfast plan --format json prints"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no such file"),
        (b"", "it is not JSON from line 1 on"),
        (b"[]", IS_JSON),
        (b"3", IS_JSON),
        (b'{"revisions": [{"revision": "r1", "steps": [{"step": {"kind": "made up"}}]}]}', IS_JSON),
        (b"\xff\xfe", "it is not a text in UTF-8"),
    ],
)
def test_what_is_no_plan(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """Whatever the file is: it says what is wrong with it in plain words, and the way out overwrites no file."""
    file = tmp_path / "package.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NotAPlan) as refused:
        read_plan(file)
    assert str(refused.value).splitlines() == [
        f"{file} is no plan: {problem}.",
        "With --plan, a run says where it did something else than the plan that was kept; nothing has run.",
        "Keep a plan in a new file: holdfast plan --format json > plan.json; then: holdfast run --plan plan.json",
    ]
