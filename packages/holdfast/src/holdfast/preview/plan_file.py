"""Reads a saved plan, the output of `holdfast plan --format json`, and compares it with what a run has done.

A revision that reads data may do another thing with other data, and somebody may have changed the database since.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.errors.scratch import NotAPlan
from holdfast.rewrite.steps import from_json

Steps = Mapping[str, tuple[str, ...]]  # of each revision, in words, in their order


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A revision that has done something else than was planned."""

    revision: str
    planned: tuple[str, ...] | None  # None: it is not in the plan
    done: tuple[str, ...]

    def __str__(self) -> str:
        if self.planned is None:
            return f"{self.revision} is not in the plan"
        left = [f"not done: {step}" for step in self.planned if step not in self.done]
        more = [f"not planned: {step}" for step in self.done if step not in self.planned]
        words = "; ".join(left + more) or "the same steps in another order"
        return f"{self.revision} differs from its plan: {words}"


def read_plan(file: Path) -> dict[str, tuple[str, ...]]:
    """Read the steps of each revision; of several databases, one after another. Raises NotAPlan."""
    try:
        return _read(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotAPlan(file=str(file), problem=_problem(error)) from error


def _problem(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case OSError():
            return f"it cannot be read ({error.strerror})"
        case json.JSONDecodeError():
            return f"it is not JSON from line {error.lineno} on"
        case UnicodeDecodeError():
            return "it is not a text in UTF-8"
    return "it is JSON, but not what holdfast plan --format json prints"


def _read(plan: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    steps: dict[str, tuple[str, ...]] = {}
    several = "databases" in plan  # a list, which is no plan, has no get()
    for database in plan["databases"] if several else [plan]:
        for revision in database["revisions"]:
            name = revision["revision"]
            steps[name] = (*steps.get(name, ()), *_in_words(revision["steps"]))
    return steps


def _in_words(steps: Sequence[Mapping[str, object]]) -> Iterator[str]:
    for planned in steps:
        for step in from_json(json.dumps([planned["step"]])):
            yield step.describe()


def departures(planned: Steps, *, done: Steps) -> tuple[Departure, ...]:
    """Give the departures of the revisions that ran. A step that was tried several times counts once."""
    found = (
        Departure(
            revision=revision, planned=planned.get(revision), done=tuple(dict.fromkeys(steps))
        )
        for revision, steps in done.items()
    )
    return tuple(
        each
        for each in found
        if each.planned is None or each.done != tuple(dict.fromkeys(each.planned))
    )
