"""How many steps a unit of a queue will have, by what was known when its statements were sent."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.queue_rules.copied_once import as_one
from holdfast.rewrite.queue_rules.gap_closed import gap_closed
from holdfast.rewrite.queue_rules.recreated_types import types_named, with_types_beside
from holdfast.rewrite.step_numbers import CountedUnit
from holdfast.rewrite.unit_steps import steps_of_unit
from holdfast.rewrite.units import Unit


def expected_count(unit: Unit, queue: Sequence[Unit], *, today: date) -> CountedUnit:
    """The count of the unit's steps, if nothing changes until its turn; a guess where that cannot be told."""
    facts = _facts_of(unit)
    if facts is None:
        return CountedUnit()
    statements = as_one([entry.statement for entry in unit.entries])
    if len(statements) > 1 and types_named(statements):
        statements = with_types_beside(statements, taken=frozenset()) or statements
    try:
        steps = steps_of_unit(statements, facts=facts, today=today)
    except HoldfastError:  # it is refused in its turn, if it still is one then
        return CountedUnit()
    everything = [entry.statement for each in queue for entry in each.entries]
    steps = gap_closed(steps, unit=statements, queue=everything, facts=facts)
    return CountedUnit(steps=len(steps), is_guess=False)


def _facts_of(unit: Unit) -> Facts | None:
    """What was known of all its statements: of each relation what the last one knew that names it."""
    known = [entry.facts for entry in unit.entries if entry.facts is not None]
    if len(known) < len(unit.entries) or not known:
        return None
    together = known[0]
    for facts in known[1:]:
        together = replace(together, **_both(together, facts))
    return together


def _both(one: Facts, other: Facts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(Facts):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, Mapping):
            found[field.name] = {**a, **b}
        elif isinstance(a, frozenset):
            found[field.name] = a | b
        elif isinstance(a, tuple):
            found[field.name] = (*a, *(each for each in b if each not in a))
    return found
