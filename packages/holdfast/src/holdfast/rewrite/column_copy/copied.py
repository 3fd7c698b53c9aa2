"""What every step of a column copy needs to know: the table, and how its copies are called."""

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
    """A table, and the names of all that is made for its copies, by the names that they will take."""

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

    @property
    def only(self) -> str:
        """What stands before its name where it alone is meant, and not what inherits from it."""
        return "" if self.facts.is_partitioned else "ONLY "

    @property
    def with_partitions(self) -> tuple["Copied", ...]:
        """The table, and behind it each of its partitions."""
        return (self, *self.partitions)

    @property
    def with_rows(self) -> tuple["Copied", ...]:
        """The tables that the rows are in."""
        return tuple(each for each in self.with_partitions if not each.facts.is_partitioned)

    @property
    def only_for(self) -> PartitionOf | None:
        """Of a partition: its steps are left out once it is none any more."""
        if self.parent is None:
            return None
        return PartitionOf(partition=self.table, table=self.parent.table)

    @property
    def own_not_nulls(self) -> tuple[ChangingColumn, ...]:
        """The columns that are NOT NULL, but not because those of the table above are."""
        above = self._above
        return tuple(
            column
            for column in self.facts.columns
            if column.not_null and not (above and above.column(column.name).not_null)
        )

    @property
    def _above(self) -> ChangedTable | None:
        """What it is a partition of."""
        whole = self.parent.facts if self.parent is not None else None
        known = (whole, *whole.partitions) if whole is not None else ()
        return next((each for each in known if each.oid == self.facts.parent), None)

    @property
    def own_checks(self) -> tuple[DependentCheck, ...]:
        """The CHECKs that it does not have from the whole table."""
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
    """Choose every name of the copy: NAME_holdfast, or the first with a number that is free.

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
    """What it has from the whole table is called there as it is on that."""
    named = _with_names(facts, trigger=whole.trigger, copies=whole.copies, choose=choose)
    return replace(
        named,
        parent=whole,
        not_nulls={**named.not_nulls, **whole.not_nulls},
        checks={**named.checks, **whole.checks},
    )


def _last_trigger(facts: ChangedTable) -> str:
    """The last to fire, of the table and the partitions that it had at first."""
    at_first = (facts, *(part for part in facts.partitions if not part.is_late))
    names = (trigger.name for each in at_first for trigger in each.triggers)
    return max(names, key=str.encode, default="")


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
