"""The middle of a column copy: statistics, indexes and foreign keys are built on the copy beside the column's own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from holdfast.rewrite.column_copy.copied import Copied
from holdfast.rewrite.column_copy.facts import DependentKey, DependentStatistics
from holdfast.rewrite.column_copy.index_names import before_swap
from holdfast.rewrite.column_copy.renamed import index_of_copy, key_of_copy, statistics_of_copy
from holdfast.rewrite.facts import Relation, RelationKind
from holdfast.rewrite.index_build import build_index
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import Lock, LockMode, strongest
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.rewriting import add_constraint, alter_table, not_valid
from holdfast.rewrite.steps import (
    AutocommitStep,
    BatchStep,
    Step,
    TransactionStep,
    ValidateStep,
    do_block,
)
from holdfast.rewrite.tree import parsed_constraint, sql

# All of them must be free at the same moment: with more, a busy table with many foreign keys would never be.
TABLES_OF_A_MOMENT = 4


def statistics(copied: Copied) -> Iterator[Step]:
    """Give the steps that make extended statistics on the copies; ANALYZE fills them."""
    for found in copied.facts.statistics:
        yield TransactionStep(
            sql=tuple(_statistics(copied, found)),
            locks=(copied.lock(LockMode.SHARE_UPDATE_EXCLUSIVE),),
            only_for=copied.only_for,
        )


def indexes(copied: Copied) -> Iterator[Step]:
    """Build the indexes CONCURRENTLY, unique ones last: until the swap an upsert finds two matching indexes."""
    table = Relation(oid=copied.facts.oid, name=copied.table, kind=RelationKind.TABLE)
    for index in sorted(copied.facts.indexes, key=lambda index: index.is_unique):
        node = index_of_copy(index, name=copied.indexes[index.name], copies=copied.copies)
        # It is dropped together with the copy.
        yield replace(build_index(node, table=table), undo=(), only_for=copied.only_for)
        yield from before_swap(copied, index)


def analyze(copied: Copied) -> Step:
    """Analyze the copies, and the columns that share statistics with them."""
    columns = set(copied.copies.values())
    for found in copied.facts.statistics:
        columns |= {copied.copies.get(column, column) for column in found.columns}
    listed = ", ".join(map(quote, sorted(columns)))
    tables = (each.facts for each in copied.with_partitions)
    is_whole = any(index.has_expressions for facts in tables for index in facts.indexes)
    return AutocommitStep(
        sql=f"ANALYZE {copied.table}" + ("" if is_whole else f" ({listed})"),
        locks=copied.locks(LockMode.SHARE_UPDATE_EXCLUSIVE),
    )


def foreign_keys(copied: Copied) -> Iterator[Step]:
    """Give the steps that make each foreign key a second time, on the copy, and validate it beside users."""
    for group in keys_of_a_moment(copied):
        yield BatchStep(
            what=f"add {_listed(copied, group)}",
            sql=tuple(_added(copied, key) for key in group),
            locks=locks_of(group, LockMode.SHARE_ROW_EXCLUSIVE),
            undo=tuple(_dropped(key.table, name=_name(copied, key)) for key in group),
        )
        yield from (_validate(key, _name(copied, key)) for key in group if key.is_validated)


def hand_over(copied: Copied) -> Iterator[Step]:
    """Put the copy's foreign keys in the place of the column's; the last group is left to the swap."""
    for group in keys_of_a_moment(copied)[:-1]:
        yield BatchStep(
            what=f"hand over {', '.join(f'foreign key {key.name} of {key.table}' for key in group)}",
            sql=tuple(text for key in group for text in taking_over(copied, key)),
            locks=locks_of(group, LockMode.ACCESS_EXCLUSIVE),
            undo=tuple(text for key in group for text in _taken_back(copied, key)),
        )


def keys_of_a_moment(copied: Copied) -> tuple[tuple[DependentKey, ...], ...]:
    """Group the foreign keys by how many tables may be locked at once."""
    groups: list[tuple[DependentKey, ...]] = []
    for key in copied.facts.foreign_keys:
        joined = (*(groups.pop() if groups else ()), key)
        fits = len(locks_of(joined, LockMode.ACCESS_EXCLUSIVE)) <= TABLES_OF_A_MOMENT
        groups += [joined] if fits or len(joined) == 1 else [joined[:-1], (key,)]
    return tuple(groups)


def locks_of(keys: Sequence[DependentKey], mode: LockMode) -> tuple[Lock, ...]:
    """Give a lock on each table of these foreign keys."""
    names = (name for key in keys for name in (key.table, key.references))
    return strongest(tuple(Lock(mode=mode, relation=name) for name in names))


def taking_over(copied: Copied, key: DependentKey) -> Iterator[str]:
    """Write the SQL that puts the copy's foreign key in the place of the column's."""
    yield from _taking_over(key, name=_name(copied, key))


def _name(copied: Copied, key: DependentKey) -> str:
    return copied.keys[key.table, key.name]


def _listed(copied: Copied, keys: Sequence[DependentKey]) -> str:
    return ", ".join(f"foreign key {_name(copied, key)} to {key.table}" for key in keys)


def _added(copied: Copied, key: DependentKey) -> str:
    constraint = key_of_copy(key, name=_name(copied, key), copies=copied.copies)
    return sql(alter_table(key.table, add_constraint(constraint)))


def _statistics(copied: Copied, found: DependentStatistics) -> Iterator[str]:
    name = copied.statistics[found.name]
    yield sql(statistics_of_copy(found, name=name, copies=copied.copies))
    qualified = QualifiedName(schema=found.schema, name=name)
    # Not its own SET STATISTICS: PostgreSQL loses that when it changes a type.
    if found.comment:
        yield f"COMMENT ON STATISTICS {qualified} IS {literal(found.comment)}"


def _validate(key: DependentKey, name: str) -> ValidateStep:
    return ValidateStep(
        table=key.table,
        constraint=name,
        locks=(Lock(mode=LockMode.SHARE_UPDATE_EXCLUSIVE, relation=key.table),),
        scans=(key.table,),
    )


def _dropped(table: QualifiedName, *, name: str) -> str:
    return f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {quote(name)}"


def _taking_over(key: DependentKey, *, name: str) -> Iterator[str]:
    """Write the SQL that replaces a key by another of the same meaning."""
    yield f"ALTER TABLE {key.table} DROP CONSTRAINT {quote(key.name)}"
    yield f"ALTER TABLE {key.table} RENAME CONSTRAINT {quote(name)} TO {quote(key.name)}"
    if key.comment:
        comment = literal(key.comment)
        yield f"COMMENT ON CONSTRAINT {quote(key.name)} ON {key.table} IS {comment}"


def _taken_back(copied: Copied, key: DependentKey) -> Iterator[str]:
    """Write the SQL that restores the column's key, under another name until it is validated."""
    name = _name(copied, key)
    again = not_valid(parsed_constraint(key.definition, name=name))
    yield do_block(
        (
            _dropped(key.table, name=name),
            sql(alter_table(key.table, add_constraint(again))),
        )
    )
    if key.is_validated:
        yield f"ALTER TABLE {key.table} VALIDATE CONSTRAINT {quote(name)}"
    yield do_block(tuple(_taking_over(key, name=name)))
