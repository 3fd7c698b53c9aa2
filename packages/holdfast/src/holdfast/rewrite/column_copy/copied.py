"""What every step of a column copy needs to know: the table, and how its copies are called."""

from collections.abc import Mapping
from dataclasses import dataclass

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import ChangedTable, Conversion
from holdfast.rewrite.column_copy.refusals import needs_replica_role
from holdfast.rewrite.column_copy.renamed import prefixed
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import MAX_BYTES, QualifiedName, clip, free_name, quote
from holdfast.rewrite.tree import expression_sql, parsed_constraint

LABEL = "holdfast"  # the copy of a column a is a_holdfast


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A table, and the names of all that is made for its copies, by the names that they will take."""

    facts: ChangedTable
    trigger: str  # the beginning of the names of both triggers
    copies: Mapping[str, str]  # of columns
    not_nulls: Mapping[str, str]  # by column
    checks: Mapping[str, str]
    indexes: Mapping[str, str]
    statistics: Mapping[str, str]
    keys: Mapping[tuple[QualifiedName, str], str]  # by their table

    @property
    def table(self) -> QualifiedName:
        """The table whose columns are copied."""
        return self.facts.table

    @property
    def function(self) -> str:
        """The trigger function, as it is called in SQL."""
        name = clip(f"copy of {self.table.schema}.{self.table.name}", to=MAX_BYTES)
        return f"holdfast.{quote(name)}()"

    @property
    def triggers(self) -> tuple[str, str]:
        """The names of the two triggers: of INSERT and of UPDATE."""
        return f"{self.trigger} i", f"{self.trigger} u"

    @property
    def conversion_settings(self) -> tuple[tuple[str, str], ...]:
        """What the new values depend on besides the rows; none where they depend on rows alone."""
        if all(change.is_steady for change in self.facts.changes):
            return ()
        return tuple(sorted(self.facts.settings.items()))

    @property
    def copying_settings(self) -> tuple[tuple[str, str], ...]:
        """The settings of the session that copies: rows are never hidden, triggers of the application are quiet."""
        quiet = (("session_replication_role", "replica"),) if needs_replica_role(self.facts) else ()
        return (("row_security", "off"), *quiet)

    def lock(self, mode: LockMode) -> Lock:
        """A lock on the table."""
        return Lock(mode=mode, relation=self.table)

    def alter(self, action: str) -> str:
        """An ALTER TABLE of the copied table."""
        return f"ALTER TABLE {self.table} {action}"


def copied(facts: ChangedTable) -> Copied:
    """Choose every name of the copy: NAME_holdfast, or the first with a number that is free."""
    taken = set(facts.taken)

    def choose(name: str) -> str:
        chosen = free_name(name, label=LABEL, taken=taken)
        taken.add(chosen)
        return chosen

    return Copied(
        facts=facts,
        trigger=_trigger(max((t.name for t in facts.triggers), key=str.encode, default="")),
        copies={column.name: choose(column.name) for column in facts.columns},
        not_nulls={c.name: choose(c.name) for c in facts.columns if c.not_null},
        checks={check.name: choose(check.name) for check in facts.checks},
        indexes={index.name: choose(index.name) for index in facts.indexes},
        statistics={found.name: choose(found.name) for found in facts.statistics},
        keys={(key.table, key.name): choose(key.name) for key in facts.foreign_keys},
    )


def new_value(change: Conversion, *, row: str) -> str:
    """The expression of the new value, of a row variable; without USING it is the value itself."""
    if not change.has_using:
        return f"{row}.{quote(change.column)}"
    return expression_sql(prefixed(_expression(change), by=row))


def new_value_of_table(change: Conversion) -> str:
    """The same in a query of the table."""
    return expression_sql(_expression(change)) if change.has_using else quote(change.column)


def _expression(change: Conversion) -> pb.Node:
    return parsed_constraint(change.probe, name="probe").raw_expr.null_test.arg


def _trigger(last: str) -> str:
    """A name behind all others: triggers fire in the order of their bytes."""
    name = "~~holdfast"
    while name.encode() <= last.encode():
        name = f"~{name}" if last.startswith("~") else f"\U0010ffff{name}"
    return name
