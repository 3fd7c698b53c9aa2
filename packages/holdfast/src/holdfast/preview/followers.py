"""Finds what followers of the server would notice of a plan: readers of standbys, subscribers to publications.

A lock of the plan is replayed on standbys, where no lock_timeout is; a subscriber knows a table by its names and stops
at a column that it does not have. The database and its standbys are only read.
https://www.postgresql.org/docs/current/logical-replication-restrictions.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from postgast import pg_query_pb2 as pb
from sqlalchemy import Connection, text

from holdfast.errors.sizes import counted
from holdfast.execute.progress import silent
from holdfast.execute.standbys import Standby
from holdfast.observe.standbys import ReadingOnStandby, replication
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.statement import Statement, parse
from holdfast.rewrite.steps import Step, TransactionStep

# A row per publication that sends the table: the columns that it names, or none where it sends all of them.
PUBLICATIONS = text(
    """
    SELECT p.pubname::text AS name, CASE WHEN r.prattrs IS NOT NULL THEN t.attnames::text[] END AS columns
    FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname
    LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = to_regclass(:table)
    WHERE to_regclass(:table) = to_regclass(format('%I.%I', t.schemaname, t.tablename)) ORDER BY 1
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeChange:
    """A change of a table that a subscriber would notice, and the order in which it is safe."""

    table: str  # as it is written
    column: str | None  # None: the table itself
    order: str
    is_of_all: bool = False  # only publications without a list of columns send it


def shape_changes(statement: Statement) -> Iterator[ShapeChange]:
    """Give a statement's changes that need an order between a publisher and its subscribers."""
    node = statement.node
    if isinstance(node, pb.RenameStmt):
        yield from _renamed(node)
    if not isinstance(node, pb.AlterTableStmt):
        return
    table = _written(node.relation)
    for each in node.cmds:
        command = each.alter_table_cmd
        if command.subtype == pb.AT_AddColumn:
            name = getattr(command, "def").column_def.colname  # a keyword of Python
            yield ShapeChange(
                table=table,
                column=name,
                is_of_all=True,
                order=f"add {quote(name)} on its subscribers first: they stop at a column that they do not have",
            )
        elif command.subtype == pb.AT_DropColumn:
            name = command.name
            yield ShapeChange(
                table=table,
                column=name,
                order=(
                    f"drop {quote(name)} here first, then on its subscribers; where it is NOT NULL without a default"
                    " there, DROP NOT NULL there before"
                ),
            )
        elif command.subtype == pb.AT_AlterColumnType:
            name = command.name
            yield ShapeChange(
                table=table,
                column=name,
                order=(
                    f"change {quote(name)} on its subscribers first where the new type holds more, otherwise here"
                    " first: they stop at a value that theirs does not hold"
                ),
            )


def _renamed(node: pb.RenameStmt) -> Iterator[ShapeChange]:
    if node.rename_type not in (pb.OBJECT_COLUMN, pb.OBJECT_TABLE):
        return
    is_column = node.rename_type == pb.OBJECT_COLUMN
    yield ShapeChange(
        table=_written(node.relation),
        column=node.subname if is_column else None,
        order=(
            "subscribers know it by its name: ALTER SUBSCRIPTION .. DISABLE there, rename on both sides, ENABLE"
        ),
    )


def _written(relation: pb.RangeVar) -> str:
    names = [relation.schemaname, relation.relname] if relation.schemaname else [relation.relname]
    return ".".join(map(quote, names))


@dataclass(kw_only=True)
class Followers:
    """Says step by step who would notice it, once for each table."""

    connection: Connection
    standbys: Sequence[Standby]
    _reading: list[tuple[Standby, ReadingOnStandby]] | None = None
    _unseen: int = 0
    _told: set[QualifiedName] = field(default_factory=set)

    def of(self, step: Step, locks: tuple[Lock, ...]) -> tuple[str, ...]:
        """Give what to know of a step that takes these locks."""
        return (*self._subscribers(step), *self._readers(locks))

    def _subscribers(self, step: Step) -> Iterator[str]:
        if not isinstance(step, TransactionStep):
            return
        for sql in step.sql:
            for statement in parse(sql):
                for change in shape_changes(statement):
                    for row in self.connection.execute(PUBLICATIONS, {"table": change.table}):
                        if change.is_of_all and row.columns is not None:
                            continue
                        if row.columns is not None and change.column not in (None, *row.columns):
                            continue
                        yield f"the publication {quote(row.name)} sends {change.table}: {change.order}"

    def _readers(self, locks: tuple[Lock, ...]) -> Iterator[str]:
        tables = {each.relation for each in locks if each.mode is LockMode.ACCESS_EXCLUSIVE}
        tables -= self._told
        if not tables:
            return
        self._told |= tables
        names = ", ".join(sorted(map(str, tables)))
        for standby, reading in self._asked():
            yield f"standby {standby.name}: {_met(reading, names)}"
            for blocker in standby.in_the_way(sorted(tables, key=str), None):
                yield f"in the way right now: {blocker.with_way_out}"
        if self._unseen:
            yield (
                f"{counted(self._unseen, 'standby follows', 'standbys follow')} this server: whoever reads {names}"
                " there waits behind this lock as long as a longer read keeps it from being replayed. If"
                " HOLDFAST_STANDBYS=URL,URL names them, a run asks first"
            )

    def _asked(self) -> list[tuple[Standby, ReadingOnStandby]]:
        """Give the standbys that answer; asked once."""
        if self._reading is None:
            self._reading = []
            for standby in self.standbys:
                try:
                    found = standby.look()
                except psycopg.Error:
                    continue  # `doctor` says so, and a run
                if found.is_standby:
                    self._reading.append((standby, found))
            if not self.standbys:
                self._unseen = replication(self.connection, target=None).standbys
        return self._reading


def _met(reading: ReadingOnStandby, names: str) -> str:
    if reading.delay == 0:
        return f"who reads {names} is ended when this lock is replayed (max_standby_streaming_delay = 0)"
    longest = "without end" if reading.delay < 0 else f"for up to {reading.delay / 1000:g} s"
    return (
        f"who reads {names} waits {longest} while a longer read keeps this lock from being replayed"
        " (max_standby_streaming_delay); the run waits before it for reads of more than a second there"
    )


def notes_of_followers(
    connection: Connection, *, steps: Sequence[tuple[Step, tuple[Lock, ...]]], urls: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Give what to know of each step, with its locks; `urls` are those of HOLDFAST_STANDBYS."""
    if not steps:
        return ()
    standbys = [Standby(url, report=silent) for url in urls]
    followers = Followers(connection=connection, standbys=standbys)
    try:
        return tuple(followers.of(step, locks) for step, locks in steps)
    finally:
        for standby in standbys:
            standby.close()
