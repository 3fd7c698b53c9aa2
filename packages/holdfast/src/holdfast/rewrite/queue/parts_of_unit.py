"""Divides a statement of a unit: what is built before the transaction, the transaction itself, what follows.

A build whose name is still taken gets another one until the moment, in which it takes the place of its forerunner.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.renamed import columns_renamed
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.index_build import joined
from holdfast.rewrite.names import QualifiedName, free_name, quote
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import (
    AutocommitStep,
    BuildIndexStep,
    Step,
    TransactionStep,
    ValidateStep,
)
from holdfast.rewrite.tree import constraint_of, copy, find, sql, strings

LABELS = {pb.CONSTR_CHECK: "check", pb.CONSTR_FOREIGN: "fkey", pb.CONSTR_NOTNULL: "not_null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The steps of one statement of a unit, by where they run."""

    before: tuple[BuildIndexStep, ...] = ()
    moment: tuple[TransactionStep, ...] = ()
    after: tuple[ValidateStep | AutocommitStep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBefore:
    """The steps of a statement that run before its unit, and the rest for the unit's transaction."""

    before: tuple[Step, ...]
    moment: tuple[TransactionStep, ...] = ()


def parts_of(steps: Sequence[Step]) -> Parts | None:
    """Sort the steps: builds, then short transactions, then scans; None if they have another order."""
    before: list[BuildIndexStep] = []
    moment: list[TransactionStep] = []
    after: list[ValidateStep | AutocommitStep] = []
    for step in steps:
        match step:
            case BuildIndexStep() if not moment and step.only_for is None:
                before.append(step)
            case TransactionStep() if not after and step.only_for is None:
                moment.append(step)
            case ValidateStep() | AutocommitStep() if moment or before:
                after.append(step)
            case _:
                return None
    return Parts(before=tuple(before), moment=tuple(moment), after=tuple(after))


def under_another_name(parts: Parts, *, facts: Facts, built: Collection[str]) -> Parts:
    """Build an index under a free name if its predecessor still has its name, until the transaction."""
    indexes = _names(facts)
    for build in parts.before:
        name = QualifiedName(schema=build.schema, name=build.index)
        if name in indexes:
            of_indexes = {each.name for each in indexes if each.schema == build.schema}
            taken = facts.taken_in(build.schema) | of_indexes | set(built)
            other = free_name(build.index, label="new", taken=taken)
            parts = replace(
                parts,
                before=tuple(_renamed(b, to=other) if b == build else b for b in parts.before),
                moment=_taking_over(parts.moment, name, built_as=other),
            )
    return parts


def on_copies(parts: Parts, copies: Mapping[QualifiedName, Mapping[str, str]]) -> Parts:
    """Give the builds on the copies of columns, which will have the columns' names in the transaction."""
    before: list[BuildIndexStep] = []
    named: list[str] = []
    for build in parts.before:
        node = _index_of(build.sql)
        renamed, columns = columns_renamed(node, copies.get(build.table, {}))
        before.append(replace(build, sql=sql(renamed)) if renamed != node else build)
        index = QualifiedName(schema=build.schema, name=build.index)
        named += [
            # RENAME COLUMN of a table leaves the name that an index has for a column of its own.
            f"ALTER TABLE {index} RENAME COLUMN {quote(copied)} TO {quote(column)}"
            for column, copied in columns.items()
        ]
    first = (TransactionStep(sql=tuple(named)),) if named else ()
    return replace(parts, before=tuple(before), moment=(*first, *parts.moment))


def with_names(parts: Parts, *, facts: Facts) -> Parts:
    """Name unnamed constraints as PostgreSQL would: a unit may have several of them."""
    captures = next(
        (s.captures_constraint_on for s in parts.moment if s.captures_constraint_on), None
    )
    table = next((t for t in facts.relations.values() if t.name == captures), None)
    if table is None:
        return parts
    taken = facts.taken_in(table.name.schema) | {found.name for found in table.constraints}
    name, moment = "", []
    for step in parts.moment:
        texts = []
        for text in step.sql:
            (statement,) = parse(text)
            node = copy(statement.node)
            for constraint in find(node, pb.Constraint):
                if not constraint.conname and constraint.skip_validation:
                    name = constraint.conname = _chosen(table, constraint, taken=taken)
            texts.append(sql(node) if name else text)
        moment.append(replace(step, sql=tuple(texts), captures_constraint_on=None))
    after = tuple(
        replace(step, constraint=name)
        if isinstance(step, ValidateStep) and step.constraint is None
        else step
        for step in parts.after
    )
    return replace(parts, moment=tuple(moment), after=after)


def _chosen(table: Relation, constraint: pb.Constraint, *, taken: Collection[str]) -> str:
    columns = [*strings(constraint.keys), *strings(constraint.fk_attrs)]
    if constraint.contype == pb.CONSTR_CHECK:
        read = {strings(each.fields)[-1] for each in find(constraint.raw_expr, pb.ColumnRef)}
        columns = [*read] if len(read) == 1 else []
    label = LABELS[constraint.contype]
    return free_name(table.name.name, second=joined(columns), label=label, taken=taken)


def _renamed(build: BuildIndexStep, *, to: str) -> BuildIndexStep:
    node = _index_of(build.sql)
    node.idxname = to
    undo = f"DROP INDEX CONCURRENTLY IF EXISTS {QualifiedName(schema=build.schema, name=to)}"
    return replace(build, index=to, sql=sql(node), undo=(undo,))


def _index_of(text: str) -> pb.IndexStmt:
    (statement,) = parse(text)
    node = copy(statement.node)
    assert isinstance(node, pb.IndexStmt)  # noqa: S101  # it is made by build_index()
    return node


def _taking_over(
    moment: tuple[TransactionStep, ...], name: QualifiedName, *, built_as: str
) -> tuple[TransactionStep, ...]:
    """Give the index its final name: by its constraint, or by a rename if it stands alone."""
    if not moment:
        built = QualifiedName(schema=name.schema, name=built_as)
        return (TransactionStep(sql=(f"ALTER INDEX {built} RENAME TO {quote(name.name)}",)),)
    return tuple(
        replace(step, sql=tuple(_using(text, name.name, built_as) for text in step.sql))
        for step in moment
    )


def _using(text: str, name: str, built_as: str) -> str:
    (statement,) = parse(text)
    node = copy(statement.node)
    if not isinstance(node, pb.AlterTableStmt):
        return text
    for item in node.cmds:
        constraint = constraint_of(item.alter_table_cmd)
        if constraint.indexname == name:
            constraint.indexname = built_as
    return sql(node)


def _names(facts: Facts) -> frozenset[QualifiedName]:
    """Give the indexes that exist before the unit."""
    return frozenset(
        index.name for relation in facts.relations.values() for index in relation.indexes
    )
