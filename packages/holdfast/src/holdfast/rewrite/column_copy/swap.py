"""The last step of a column copy: the copy takes the column's name and place, in one transaction.

It locks the table, and those of the foreign keys that are handed over with it: each lock apart would wait again for
whoever holds the tables.

The old column goes with its indexes, CHECKs, keys and statistics: their files are unlinked after the locks are
released, so it costs users nothing. Nothing is left to do afterwards.
"""

from collections.abc import Iterator

from holdfast.rewrite.column_copy.copied import Copied
from holdfast.rewrite.column_copy.dependents import keys_of_a_moment, locks_of, taking_over
from holdfast.rewrite.column_copy.facts import DependentIndex, OwnedSequence
from holdfast.rewrite.column_copy.filling import granted
from holdfast.rewrite.column_copy.index_names import columns_of_index, comments, index_renamed
from holdfast.rewrite.column_copy.notes import notes_of_swap
from holdfast.rewrite.column_copy.partitions import (
    disturbed,
    partitions_guard,
    stamp_of,
    taking_over_indexes,
    triggers_guard,
)
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import LockMode, strongest
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.steps import BatchStep

GREATEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
IDENTITIES = {"a": "ALWAYS", "d": "BY DEFAULT"}
KEPT_NUMBER = "holdfast.sequence"  # a setting: the new sequence goes on where the old one was


def swap(copied: Copied) -> BatchStep:
    """Give the step that puts the copies in the place of the columns."""
    facts = copied.facts
    names = ", ".join(column.name for column in facts.columns)
    # Partitions are swapped before the objects of the whole table, which are made from theirs.
    upwards = (*reversed(copied.partitions), copied)
    keys = (keys_of_a_moment(copied) or ((),))[-1]
    own = copied.locks(LockMode.ACCESS_EXCLUSIVE)
    return BatchStep(
        what=f"put the new {names} of {copied.table} in place",
        sql=(
            *partitions_guard(copied),
            _guard(copied),
            *(f"DROP TRIGGER {quote(trigger)} ON {copied.table}" for trigger in copied.triggers),
            f"DROP FUNCTION {copied.function}",
            *(text for key in keys for text in taking_over(copied, key)),
            *(text for sequence in facts.sequences for text in _saved(copied, sequence)),
            *(copied.alter(f"DROP COLUMN {quote(column.name)}") for column in facts.columns),
            *_renamed(copied),
            *(text for each in upwards for text in _in_place(each)),
            *(text for sequence in facts.sequences for text in _numbered(copied, sequence)),
            *comments(copied),
        ),
        locks=strongest((*own, *locks_of(keys, LockMode.ACCESS_EXCLUSIVE))),
        notes=notes_of_swap(facts),
    )


def _guard(copied: Copied) -> str:
    """Write SQL that fails unless both triggers are unchanged and fire last: then the proof still holds."""
    if copied.facts.is_partitioned:
        return triggers_guard(copied)
    names = ", ".join(map(literal, copied.triggers))
    of_table = f"tgrelid = {literal(str(copied.table))}::regclass"
    ours = (
        f"(SELECT count(*) FROM pg_catalog.pg_trigger WHERE {of_table}"
        f" AND tgname IN ({names}) AND tgenabled = 'A' AND xmin::text = {stamp_of(copied)})"
    )
    later = (
        f"EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE {of_table} AND NOT tgisinternal"
        f' AND tgtype & 2 <> 0 AND tgname::text COLLATE "C" > {literal(copied.triggers[1])})'
    )
    return disturbed(f"{ours} <> 2 OR {later}")


def _saved(copied: Copied, sequence: OwnedSequence) -> Iterator[str]:
    """Write SQL that saves for the new column what would be dropped with the old one: its sequences."""
    if sequence.is_identity:
        yield (
            f"PERFORM set_config('{KEPT_NUMBER}', (SELECT last_value || ' ' || is_called"
            f" FROM {sequence.name}), true)"
        )
    else:
        owner = f"{copied.table}.{quote(copied.copies[sequence.column])}"
        yield f"ALTER SEQUENCE {sequence.name} OWNED BY {owner}"


def _renamed(copied: Copied) -> Iterator[str]:
    """Rename the copies on the table and all its partitions."""
    for column in copied.facts.columns:
        copy = quote(copied.copies[column.name])
        yield copied.alter(f"RENAME COLUMN {copy} TO {quote(column.name)}")
        if column.not_null_name:
            constraint = quote(copied.not_nulls[column.name])
            yield copied.alter(f"RENAME CONSTRAINT {constraint} TO {quote(column.not_null_name)}")


def _in_place(copied: Copied) -> Iterator[str]:
    """Give what one table has, without its partitions, its original name again."""
    facts = copied.facts
    for column in copied.own_not_nulls if copied.parent is not None else ():
        if column.not_null_name:
            constraint = quote(copied.not_nulls[column.name])
            yield copied.alter(f"RENAME CONSTRAINT {constraint} TO {quote(column.not_null_name)}")
    for check in copied.own_checks:
        constraint = quote(copied.checks[check.name])
        yield copied.alter(f"RENAME CONSTRAINT {constraint} TO {quote(check.name)}")
    for found in facts.statistics:
        name = QualifiedName(schema=found.schema, name=copied.statistics[found.name])
        yield f"ALTER STATISTICS {name} RENAME TO {quote(found.name)}"
    if facts.is_partitioned:
        yield from taking_over_indexes(copied)
    elif copied.parent is None:
        for index in facts.indexes:
            yield from columns_of_index(copied, index)
            yield from index_renamed(copied, index)
    yield from _taken_over(copied)


def _taken_over(copied: Copied) -> Iterator[str]:
    """Set defaults, keys and index properties, in one ALTER TABLE."""
    changes = copied.facts.changes if copied.parent is None else ()
    actions = [
        f"ALTER COLUMN {quote(change.column)} SET DEFAULT {change.default}"
        for change in changes
        if change.default is not None
    ]
    if not copied.facts.is_partitioned:
        actions += [
            _constraint(copied, index) for index in copied.facts.indexes if index.constraint
        ]
    for index in copied.facts.indexes:
        # The index of a partition gets its name only after the swap.
        is_renamed = index.constraint is not None or copied.parent is None
        name = quote(index.name if is_renamed else copied.indexes[index.name])
        if index.is_replica_identity:
            actions.append(f"REPLICA IDENTITY USING INDEX {name}")
        if index.is_clustered:
            actions.append(f"CLUSTER ON {name}")
    if actions:
        yield copied.alter(", ".join(actions))


def _constraint(copied: Copied, index: DependentIndex) -> str:
    kind = "PRIMARY KEY" if index.is_primary else "UNIQUE"
    name = quote(index.constraint or "")
    return f"ADD CONSTRAINT {name} {kind} USING INDEX {quote(copied.indexes[index.name])}"


def _numbered(copied: Copied, sequence: OwnedSequence) -> Iterator[str]:
    """Give an identity column a new sequence, of the new type if the old one had the limits of its type."""
    if not sequence.is_identity:
        return
    change = copied.facts.conversion(sequence.column)
    least, greatest = sequence.least, sequence.greatest
    new, old = GREATEST.get(change.new_type if change else ""), GREATEST[sequence.type]
    if new is not None:
        greatest = new if greatest == old else greatest
        least = -new - 1 if least == -old - 1 else least
    kind = IDENTITIES[copied.facts.column(sequence.column).identity]
    cycle = "CYCLE" if sequence.cycles else "NO CYCLE"
    yield copied.alter(
        f"ALTER COLUMN {quote(sequence.column)} ADD GENERATED {kind} AS IDENTITY (SEQUENCE NAME"
        f" {sequence.name} START {sequence.start} INCREMENT {sequence.increment} MINVALUE {least}"
        f" MAXVALUE {greatest} CACHE {sequence.cache} {cycle})"
    )
    kept = f"current_setting('{KEPT_NUMBER}')"
    yield (
        f"PERFORM setval({literal(str(sequence.name))}, split_part({kept}, ' ', 1)::bigint,"
        f" split_part({kept}, ' ', 2)::boolean)"
    )
    for grant in sequence.grants:
        yield granted(grant, on=f"SEQUENCE {sequence.name}")
    if sequence.comment:
        yield f"COMMENT ON SEQUENCE {sequence.name} IS {literal(sequence.comment)}"
