"""The check of keys that will run out, while there is time to change their type."""

from collections.abc import Iterator

from holdfast.doctor.check import Check, Evidence, Verdict, fine, warn
from holdfast.observe.keys import NumberedColumn

USED = 0.5  # a change of the type takes its time, and so does finding the time for it


def _keys(evidence: Evidence) -> Verdict:
    found = evidence.keys
    running_out = [each for each in found.numbered if each.used >= USED]
    if not running_out and not found.narrow:
        return fine("no key runs out of numbers")
    says = [f"{each.column} has used {each.used:.0%} of its numbers" for each in running_out]
    says += [
        f"{each.column} ({each.column_type}) is narrower than {each.key} ({each.key_type})"
        for each in found.narrow
    ]
    ways = [way for each in running_out for way in _ways(each)]
    ways += [f"change the type of {each.column} to {each.key_type}" for each in found.narrow]
    return warn("; ".join(says), "; ".join(ways))


def _ways(column: NumberedColumn) -> Iterator[str]:
    """The column first, then its sequence, which plain SQL leaves as it is."""
    if column.column_type != "bigint":
        yield f"change the type of {column.column} to bigint in a revision: op.alter_column(.., type_=sa.BigInteger)"
    if column.sequence_type != "bigint":
        yield f"ALTER SEQUENCE {column.sequence} AS bigint;"


CHECKS = (Check(number=32, name="keys", title="keys that run out of numbers", judge=_keys),)
