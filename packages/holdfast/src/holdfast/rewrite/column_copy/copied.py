"""The names that every step of a column copy needs: of the table, its copies, and all that is made for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import (
    ChangedTable,
    ChangingColumn,
    Conversion,
    DependentCheck,
)
from holdfast.rewrite.column_copy.refusals import needs_replica_role
from holdfast.rewrite.column_copy.renamed import prefixed
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import MAX_BYTES, QualifiedName, clip, free_name, quote
from holdfast.rewrite.steps import PartitionOf
from holdfast.rewrite.tree import expression_sql, parsed_constraint

LABEL = "holdfast"  # the copy of a column a is a_holdfast


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A table whose columns are copied, with the names of everything made for the copies."""

    facts: ChangedTable
    trigger: str  # the beginning of the names of both triggers
    copies: Mapping[str, str]  # of columns
    not_nulls: Mapping[str, str]  # by column
    checks: Mapping[str, str]
    indexes: Mapping[str, str]
    statistics: Mapping[str, str]
    keys: Mapping[tuple[QualifiedName, str], str]  # by their table
    parent: "Copied | None" = None  # of a partition, that of the whole table
    partitions: tuple["Copied", ...] = ()  # those that are there, each behind its parent

    @property
    def table(self) -> QualifiedName:
        """The table whose columns are copied."""
        return self.facts.table

    @property
    def function(self) -> str:
        """The trigger function's name, as SQL writes it."""
        name = clip(f"copy of {self.table.schema}.{self.table.name}", to=MAX_BYTES)
        return f"holdfast.{quote(name)}()"

    @property
    def triggers(self) -> tuple[str, str]:
        """The names of the two triggers, for INSERT and for UPDATE."""
        return f"{self.trigger} i", f"{self.trigger} u"

    @property
    def conversion_settings(self) -> tuple[tuple[str, str], ...]:
        """The settings on which the new values depend; none if they depend on the rows alone."""
        if all(change.is_steady for change in self.facts.changes):
            return ()
        return tuple(sorted(self.facts.settings.items()))

    @property
    def copying_settings(self) -> tuple[tuple[str, str], ...]:
        """The settings of the copying session: no row is hidden, triggers of the application do not fire."""
        quiet = (("session_replication_role", "replica"),) if needs_replica_role(self.facts) else ()
        return (("row_security", "off"), *quiet)

    @property
    def only(self) -> str:
        """What is written before the table's name to leave out the tables that inherit from it."""
        return "" if self.facts.is_partitioned else "ONLY "

    @property
    def with_partitions(self) -> tuple["Copied", ...]:
        """The table, followed by each of its partitions."""
        return (self, *self.partitions)

    @property
    def with_rows(self) -> tuple["Copied", ...]:
        """The tables that contain the rows."""
        return tuple(each for each in self.with_partitions if not each.facts.is_partitioned)

    @property
    def only_for(self) -> PartitionOf | None:
        """The partition for which a step is; the step is left out once that is no partition any more."""
        if self.parent is None:
            return None
        return PartitionOf(partition=self.table, table=self.parent.table)

    @property
    def own_not_nulls(self) -> tuple[ChangingColumn, ...]:
        """The NOT NULL columns of a partition that it does not inherit from the table above."""
        above = self._above
        return tuple(
            column
            for column in self.facts.columns
            if column.not_null and not (above and above.column(column.name).not_null)
        )

    @property
    def _above(self) -> ChangedTable | None:
        """The table of which it is a partition."""
        whole = self.parent.facts if self.parent is not None else None
        known = (whole, *whole.partitions) if whole is not None else ()
        return next((each for each in known if each.oid == self.facts.parent), None)

    @property
    def own_checks(self) -> tuple[DependentCheck, ...]:
        """The CHECKs of a partition that it does not inherit from the whole table."""
        return tuple(check for check in self.facts.checks if not check.is_inherited)

    def lock(self, mode: LockMode) -> Lock:
        """A lock on the table alone."""
        return Lock(mode=mode, relation=self.table)

    def locks(self, mode: LockMode) -> tuple[Lock, ...]:
        """A lock on the table, and on each of its partitions."""
        return tuple(Lock(mode=mode, relation=each.table) for each in self.with_partitions)

    def alter(self, action: str) -> str:
        """An ALTER TABLE of the copied table, and of its partitions."""
        return f"ALTER TABLE {self.table} {action}"

    def alter_only(self, action: str) -> str:
        """An ALTER TABLE of the copied table alone."""
        only = "ONLY " if self.facts.is_partitioned else ""
        return f"ALTER TABLE {only}{self.table} {action}"


def copied(facts: ChangedTable) -> Copied:
    """Choose every name of the copy: NAME_holdfast, or the first free one with a number.

    What is known of a partition later changes no name that was chosen before.
    """
    taken = set(facts.taken)

    def choose(name: str) -> str:
        chosen = free_name(name, label=LABEL, taken=taken)
        taken.add(chosen)
        return chosen

    whole = _with_names(
        facts,
        trigger=_trigger(_last_trigger(facts)),
        copies={column.name: choose(column.name) for column in facts.columns},
        choose=choose,
    )
    partitions: list[Copied] = []
    for part in facts.partitions:
        taken |= set(part.taken)
        partitions.append(_of_partition(part, whole=whole, choose=choose))
    there = tuple(part for part in partitions if not part.facts.is_gone)
    return replace(whole, partitions=there)


def _with_names(
    facts: ChangedTable, *, trigger: str, copies: Mapping[str, str], choose: Callable[[str], str]
) -> Copied:
    return Copied(
        facts=facts,
        trigger=trigger,
        copies=copies,
        not_nulls={c.name: choose(c.name) for c in facts.columns if c.not_null},
        checks={check.name: choose(check.name) for check in facts.checks},
        indexes={index.name: choose(index.name) for index in facts.indexes},
        statistics={found.name: choose(found.name) for found in facts.statistics},
        keys={(key.table, key.name): choose(key.name) for key in facts.foreign_keys},
    )


def _of_partition(facts: ChangedTable, *, whole: Copied, choose: Callable[[str], str]) -> Copied:
    """Describe a partition: what it inherits from the whole table has the same name there."""
    named = _with_names(facts, trigger=whole.trigger, copies=whole.copies, choose=choose)
    return replace(
        named,
        parent=whole,
        not_nulls={**named.not_nulls, **whole.not_nulls},
        checks={**named.checks, **whole.checks},
    )


def _last_trigger(facts: ChangedTable) -> str:
    """Give the last trigger to fire on the table and on the partitions that it had at first."""
    at_first = (facts, *(part for part in facts.partitions if not part.is_late))
    names = (trigger.name for each in at_first for trigger in each.triggers)
    return max(names, key=str.encode, default="")


def new_value(change: Conversion, *, row: str) -> str:
    """Write the expression for the new value, from a row variable; without USING it is the value itself."""
    if not change.has_using:
        return f"{row}.{quote(change.column)}"
    return expression_sql(prefixed(_expression(change), by=row))


def new_value_of_table(change: Conversion) -> str:
    """Write the expression for the new value, in a query of the table."""
    return expression_sql(_expression(change)) if change.has_using else quote(change.column)


def _expression(change: Conversion) -> pb.Node:
    return parsed_constraint(change.probe, name="probe").raw_expr.null_test.arg


def _trigger(last: str) -> str:
    """Give a name after all others: triggers fire in the byte order of their names."""
    name = "~~holdfast"
    while name.encode() <= last.encode():
        name = f"~{name}" if last.startswith("~") else f"\U0010ffff{name}"
    return name
