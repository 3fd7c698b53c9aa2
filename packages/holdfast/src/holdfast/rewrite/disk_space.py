"""Estimates how much more disk a revision needs, for indexes that it builds and rows that it writes anew.

Estimates, from what the server itself estimates of its tables. WAL is not counted, and of a partial index or of an
UPDATE with a condition nobody knows beforehand how many rows it is about: these count as nothing.
https://www.postgresql.org/docs/current/storage-page-layout.html
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from postgast import pg_query_pb2 as pb

from holdfast.errors.sizes import size_in_words
from holdfast.errors.statement import NotEnoughDisk
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.online import draft_of, is_exempted
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import Statement, parse, shortened
from holdfast.rewrite.steps import BackfillStep, BuildIndexStep, CopyRowsStep, FillRowsStep, Step
from holdfast.rewrite.type_change import may_write_rows

ROW_HEADER = 28  # of a table, with its line pointer
ENTRY_HEADER = 12  # of an index, the same
ALIGNMENT = 8
FILLED = 0.9  # of a page of an index
BLOCK = 8_192  # as nearly every server is built
EXPRESSION = 16  # bytes of a value that nobody has measured
FIXED = {
    "bigint": 8,
    "boolean": 1,
    "date": 4,
    "double precision": 8,
    "integer": 4,
    "interval": 16,
    "real": 4,
    "smallint": 2,
    "time without time zone": 8,
    "timestamp with time zone": 8,
    "timestamp without time zone": 8,
    "uuid": 16,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskNeed:
    """What a statement adds to the disk, until a vacuum or for good."""

    statement: str
    bytes: int


def refuse_more_than_fits(needs: Sequence[DiskNeed], *, free: int | None) -> None:
    """Raise NotEnoughDisk if these needs together exceed `free`; None: nobody knows."""
    needed = sum(need.bytes for need in needs)
    if free is not None and needed > free:
        largest = max(needs, key=lambda need: need.bytes)
        raise NotEnoughDisk(
            statement=largest.statement,
            size=size_in_words(largest.bytes),
            needed=size_in_words(needed),
            free=size_in_words(free),
        )


def disk_needs(entries: Sequence[QueueEntry], *, today: date) -> tuple[DiskNeed, ...]:
    """Give the needs of the statements that have some, except those that their author allows."""
    needs = (
        _need(entry.statement, entry.facts) for entry in entries if not _is_allowed(entry, today)
    )
    return tuple(need for need in needs if need is not None and need.bytes)


def needs_of_rest(
    statements: Sequence[Statement],
    *,
    left: Sequence[Step],
    facts: Facts,
    today: date,
    reached: Sequence[str] | None = None,
) -> tuple[DiskNeed, ...]:
    """Give the needs of a unit's remaining steps, unless allowed by its author; of the first, what is not `reached`."""
    if any(is_exempted(each, today=today) for each in statements):
        return ()
    tables = _tables(facts)
    size = sum(disk_of(step, tables=tables) for step in left)
    size -= _is_done(left[:1], tables=tables, reached=reached)
    words = "; ".join(each.sql for each in statements)
    return (DiskNeed(statement=shortened(words), bytes=size),) if size else ()


def disk_of(step: Step, *, tables: dict[QualifiedName, Relation]) -> int:
    """Give the bytes that one step adds."""
    match step:
        case BuildIndexStep() if step.table in tables:
            return _of_build(step, tables[step.table])
        case CopyRowsStep() | FillRowsStep() if step.table in tables:
            return tables[
                step.table
            ].bytes  # a new version of each row, and the old ones until a vacuum
        case BackfillStep() if step.table in tables and _writes_every_row(step):
            return tables[step.table].bytes
        case _:
            return 0


def _is_done(
    under_way: Sequence[Step],
    *,
    tables: dict[QualifiedName, Relation],
    reached: Sequence[str] | None,
) -> int:
    """Give the bytes that a copy has already written: in proportion to the blocks that it has reached."""
    for step in under_way:
        if reached is not None and isinstance(step, CopyRowsStep | FillRowsStep):
            return min(int(reached[1]) * BLOCK, disk_of(step, tables=tables))
    return 0


def _is_allowed(entry: QueueEntry, today: date) -> bool:
    return is_exempted(entry.statement, today=today)


def _need(statement: Statement, facts: Facts | None) -> DiskNeed | None:
    if facts is None:
        return None
    tables = _tables(facts)
    if isinstance(statement.node, pb.AlterTableStmt) and may_write_rows(statement, facts=facts):
        size = sum(
            table.bytes for table in tables.values()
        )  # a copy of the column, whatever its steps
    elif tables:
        size = sum(disk_of(step, tables=tables) for step in draft_of(statement, facts=facts).steps)
    else:
        return None
    return DiskNeed(statement=shortened(statement.sql), bytes=size)


def _tables(facts: Facts) -> dict[QualifiedName, Relation]:
    """Give the tables in use, and their partitions."""
    known = [table for table in facts.relations.values() if not table.is_new]
    return {each.name: each for table in known for each in (table, *table.partitions)}


def _of_build(step: BuildIndexStep, table: Relation) -> int:
    """Give the size of an index, and as much again for the files in which its entries are sorted."""
    (statement,) = parse(step.sql)
    node = statement.node
    assert isinstance(node, pb.IndexStmt)  # noqa: S101  # it is made by build_index()
    if step.where is not None or node.access_method == "brin":
        return 0
    elements = [*node.index_params, *node.index_including_params]
    widths = sum(_width(element.index_elem.name, table) for element in elements)
    entry = ENTRY_HEADER + -(-widths // ALIGNMENT) * ALIGNMENT
    return 2 * round(table.rows * entry / FILLED)


def _width(column: str, table: Relation) -> int:
    found = table.column(column)
    if found is None:
        return EXPRESSION
    return FIXED.get(_without_modifier(found.type)) or _share(table)


def _share(table: Relation) -> int:
    """Estimate the share of the average row that a column of no fixed width has."""
    fixed = [FIXED.get(_without_modifier(column.type)) for column in table.columns]
    left = table.bytes / max(table.rows, 1) - ROW_HEADER - sum(width or 0 for width in fixed)
    return max(1, round(left / fixed.count(None)))


def _without_modifier(written: str) -> str:
    return re.sub(r"\(\d+\)", "", written)


def _writes_every_row(step: BackfillStep) -> bool:
    return not any(_conditions(parse(step.sql)))


def _conditions(statements: Sequence[Statement]) -> Iterator[bool]:
    """Whether rows are added: none by a DELETE, some by an UPDATE with a condition."""
    for statement in statements:
        node = statement.node
        yield not isinstance(node, pb.UpdateStmt) or node.HasField("where_clause")
