"""The last step of a column copy: the copy takes the name and the place of the column, in one transaction on one table.

The old column goes with its indexes, CHECKs, keys and statistics: their files are unlinked after the locks are
released, so it costs users nothing. Nothing is left to do afterwards.
"""

from collections.abc import Iterator

from holdfast.rewrite.column_copy.copied import Copied
from holdfast.rewrite.column_copy.facts import DependentIndex, OwnedSequence
from holdfast.rewrite.column_copy.filling import granted
from holdfast.rewrite.column_copy.notes import notes_of_swap
from holdfast.rewrite.column_copy.renamed import index_of_copy
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.steps import BatchStep

DISTURBED = "HF001"  # SQLSTATE: the triggers that keep the copies equal have been touched
GREATEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
IDENTITIES = {"a": "ALWAYS", "d": "BY DEFAULT"}
KEPT_NUMBER = "holdfast.sequence"  # a setting: the new sequence goes on where the old one was


def swap(copied: Copied) -> BatchStep:
    """The batch that puts the copies in the place of the columns."""
    facts = copied.facts
    names = ", ".join(column.name for column in facts.columns)
    return BatchStep(
        what=f"put the new {names} of {copied.table} in place",
        sql=(
            _guard(copied),
            *(f"DROP TRIGGER {quote(trigger)} ON {copied.table}" for trigger in copied.triggers),
            f"DROP FUNCTION {copied.function}",
            *(text for sequence in facts.sequences for text in _saved(copied, sequence)),
            *(copied.alter(f"DROP COLUMN {quote(column.name)}") for column in facts.columns),
            *_renamed(copied),
            *_taken_over(copied),
            *(text for sequence in facts.sequences for text in _numbered(copied, sequence)),
            *_comments(copied),
        ),
        locks=(copied.lock(LockMode.ACCESS_EXCLUSIVE),),
        notes=notes_of_swap(facts),
    )


def _guard(copied: Copied) -> str:
    """SQL that fails unless both triggers are as they were made and the last to fire: so the proof holds."""
    names = ", ".join(map(literal, copied.triggers))
    stamp = f"obj_description({literal(copied.function)}::regprocedure, 'pg_proc')"
    of_table = f"tgrelid = {literal(str(copied.table))}::regclass"
    ours = (
        f"(SELECT count(*) FROM pg_catalog.pg_trigger WHERE {of_table}"
        f" AND tgname IN ({names}) AND tgenabled = 'A' AND xmin::text = {stamp})"
    )
    later = (
        f"EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE {of_table} AND NOT tgisinternal"
        f' AND tgtype & 2 <> 0 AND tgname::text COLLATE "C" > {literal(copied.triggers[1])})'
    )
    return (
        f"IF {ours} <> 2 OR {later} THEN RAISE EXCEPTION"
        f" 'the triggers that keep the copy equal have been changed' USING ERRCODE = '{DISTURBED}'; END IF"
    )


def _saved(copied: Copied, sequence: OwnedSequence) -> Iterator[str]:
    """SQL that keeps for the new column what would go with the old one: its sequences."""
    if sequence.is_identity:
        yield (
            f"PERFORM set_config('{KEPT_NUMBER}', (SELECT last_value || ' ' || is_called"
            f" FROM {sequence.name}), true)"
        )
    else:
        owner = f"{copied.table}.{quote(copied.copies[sequence.column])}"
        yield f"ALTER SEQUENCE {sequence.name} OWNED BY {owner}"


def _renamed(copied: Copied) -> Iterator[str]:
    facts = copied.facts
    for column in facts.columns:
        copy = quote(copied.copies[column.name])
        yield copied.alter(f"RENAME COLUMN {copy} TO {quote(column.name)}")
        if column.not_null_name:
            constraint = quote(copied.not_nulls[column.name])
            yield copied.alter(f"RENAME CONSTRAINT {constraint} TO {quote(column.not_null_name)}")
    for check in facts.checks:
        constraint = quote(copied.checks[check.name])
        yield copied.alter(f"RENAME CONSTRAINT {constraint} TO {quote(check.name)}")
    for found in facts.statistics:
        name = QualifiedName(schema=found.schema, name=copied.statistics[found.name])
        yield f"ALTER STATISTICS {name} RENAME TO {quote(found.name)}"
    for index in facts.indexes:
        yield from _columns_of_index(copied, index)
        if index.constraint is None:  # the others are renamed by the constraint that takes them
            name = QualifiedName(schema=copied.table.schema, name=copied.indexes[index.name])
            yield f"ALTER INDEX {name} RENAME TO {quote(index.name)}"


def _columns_of_index(copied: Copied, index: DependentIndex) -> Iterator[str]:
    """RENAME COLUMN leaves the name that an index has for a column of its own: seen in psql."""
    name = QualifiedName(schema=copied.table.schema, name=copied.indexes[index.name])
    node = index_of_copy(index, name=name.name, copies=copied.copies)
    elements = (*node.index_params, *node.index_including_params)
    named = {item.index_elem.name for item in elements}
    for column, copy in copied.copies.items():
        if copy in named:
            yield f"ALTER TABLE {name} RENAME COLUMN {quote(copy)} TO {quote(column)}"


def _taken_over(copied: Copied) -> Iterator[str]:
    """Defaults, keys, and what is said of an index: one ALTER TABLE."""
    actions = [
        *(
            f"ALTER COLUMN {quote(change.column)} SET DEFAULT {change.default}"
            for change in copied.facts.changes
            if change.default is not None
        ),
        *(_constraint(copied, index) for index in copied.facts.indexes if index.constraint),
    ]
    for index in copied.facts.indexes:
        if index.is_replica_identity:
            actions.append(f"REPLICA IDENTITY USING INDEX {quote(index.name)}")
        if index.is_clustered:
            actions.append(f"CLUSTER ON {quote(index.name)}")
    if actions:
        yield copied.alter(", ".join(actions))


def _constraint(copied: Copied, index: DependentIndex) -> str:
    kind = "PRIMARY KEY" if index.is_primary else "UNIQUE"
    name = quote(index.constraint or "")
    return f"ADD CONSTRAINT {name} {kind} USING INDEX {quote(copied.indexes[index.name])}"


def _numbered(copied: Copied, sequence: OwnedSequence) -> Iterator[str]:
    """An identity gets a new sequence, of the new type where the old one had the limits of the old."""
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


def _comments(copied: Copied) -> Iterator[str]:
    table = copied.table
    for index in copied.facts.indexes:
        name = QualifiedName(schema=table.schema, name=index.name)
        if index.constraint_comment:
            comment = literal(index.constraint_comment)
            yield f"COMMENT ON CONSTRAINT {quote(index.constraint or '')} ON {table} IS {comment}"
        if index.comment:
            yield f"COMMENT ON INDEX {name} IS {literal(index.comment)}"
    for check in copied.facts.checks:
        if check.comment:
            comment = literal(check.comment)
            yield f"COMMENT ON CONSTRAINT {quote(check.name)} ON {table} IS {comment}"
