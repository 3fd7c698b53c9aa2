"""The check of keys whose numbers run out, while there is still time to change their type."""

from collections.abc import Iterator

from holdfast.doctor.check import Check, Evidence, Verdict, fine, warn
from holdfast.observe.keys import NarrowModel, NarrowReference, NumberedColumn

USED = 0.5  # a change of the type takes its time, and so does finding the time for it


def _keys(evidence: Evidence) -> Verdict:
    found = evidence.keys
    history = evidence.history
    problems = [
        *(problem for each in found.numbered for problem in _numbered(each)),
        *(problem for each in found.narrow for problem in _narrow(each)),
        *(_model(each) for each in (history.narrow_models if history is not None else ())),
    ]
    if not problems:
        return fine("no key runs out of numbers")
    ways = dict.fromkeys(way for _, way in problems)
    return warn("; ".join(dict.fromkeys(says for says, _ in problems)), "; ".join(ways))


def _numbered(column: NumberedColumn) -> Iterator[tuple[str, str]]:
    """Name the column first, then its sequence, whose type plain SQL leaves as it is."""
    ends_first = column.sequence_type != "bigint" and column.column_type == "bigint"
    if column.used >= USED:
        says = f"{column.column} has used {column.used:.0%} of its numbers"
    elif ends_first:
        says = f"{column.column} is bigint, and {column.sequence}, which numbers it, is {column.sequence_type}"
    else:
        return
    if column.column_type != "bigint":
        yield (
            says,
            f"change the type of {column.column} to bigint in a revision: op.alter_column(.., type_=sa.BigInteger)",
        )
    if column.sequence_type != "bigint":
        yield says, f"ALTER SEQUENCE {column.sequence} AS bigint;"


def _narrow(reference: NarrowReference) -> Iterator[tuple[str, str]]:
    yield (
        f"{reference.column} ({reference.column_type}) is narrower than {reference.key} ({reference.key_type})",
        f"change the type of {reference.column} to {reference.key_type}",
    )


def _model(model: NarrowModel) -> tuple[str, str]:
    return (
        f"the models say {model.model_type} of {model.column}, which is bigint",
        f"say BigInteger of {model.column} in the models",
    )


CHECKS = (Check(number=32, name="keys", title="keys that run out of numbers", judge=_keys),)
