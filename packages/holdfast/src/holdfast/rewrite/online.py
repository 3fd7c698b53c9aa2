"""How a statement is executed on a database in use: `duration()` and `rewrite()`.

A statement that is INSTANT is one short transaction, as it is written. Every other is LONG: it has
an online form of several steps, or is refused unless its author allows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_values import refuse_column_without_values
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.hazards import Hazard
from holdfast.rewrite.operations import (
    breaking_changes_of_statement,
    hazards_of_action,
    hazards_of_statement,
    online_form,
    online_form_of_action,
)
from holdfast.rewrite.queued_changes import changes_ahead, is_conditional
from holdfast.rewrite.rewriting import (
    Action,
    Refusal,
    Split,
    alter_table,
    as_written,
    transaction,
)
from holdfast.rewrite.side_by_side.expand import expanded, expanded_action
from holdfast.rewrite.side_by_side.taken_back import taken_back, taken_back_action
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import Step
from holdfast.rewrite.tree import find
from holdfast.rewrite.type_change import without_copies
from holdfast.rewrite.units import QueueEntry, tables_of


class Duration(Enum):
    """How long a statement, run as it is written, holds what others wait for."""

    INSTANT = "instant"
    LONG = "long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The steps of a statement, and why it is refused in spite of them."""

    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...] = ()


def duration(statement: Statement, *, facts: Facts) -> Duration:
    """Whether the statement can run inside the transaction of its revision.

    Raises ColumnWithoutValues: what must fail fails before anything else has run.
    """
    refuse_column_without_values(statement, facts=facts)
    draft = draft_of(statement, facts=facts)
    plain = Draft(steps=(as_written(statement, facts=facts),))
    if draft == plain and needs_no_transaction_of_its_own(statement, facts=facts):
        return Duration.INSTANT
    return Duration.LONG


def rewrite(
    statement: Statement, *, facts: Facts, today: date, ahead: Sequence[QueueEntry] = ()
) -> tuple[Step, ...]:
    """The steps of a statement, as long as nothing changes the facts.

    Raises LongStatement where they would hold a lock for long, BreaksRunningCode where they take a
    name away, ColumnWithoutValues where they must fail; but not for a reason that the statements
    `ahead` of it in a queue may take away.
    """
    refuse_column_without_values(statement, facts=facts)
    excused = is_excused(statement, today=today)
    draft = draft_of(statement, facts=without_copies(facts) if excused else facts)
    unless = excused or (ahead and is_conditional(statement))
    if draft.refusals and not unless:
        changes = changes_ahead(ahead, to=tables_of(facts))
        for refusal in draft.refusals:
            if not refusal.lifted_by & changes:
                raise refusal.error(statement)
    return draft.steps


def is_excused(statement: Statement, *, today: date) -> bool:
    """Whether its author allows what would be refused."""
    return statement.exemption is not None and statement.exemption.holds(today=today)


def draft_of(statement: Statement, *, facts: Facts) -> Draft:
    """The steps of a statement, refused or not."""
    for_two = expanded(statement, facts=facts) or taken_back(statement, facts=facts)
    if for_two is not None:
        of_two, refusal = for_two
        return Draft(
            steps=of_two or (as_written(statement, facts=facts),),
            refusals=(refusal,) if refusal is not None else (),
        )
    steps = online_form(statement, facts=facts)
    if steps is not None:
        return Draft(steps=steps, refusals=_of_what_stays(statement, facts=facts))
    node = statement.node
    if isinstance(node, pb.AlterTableStmt) and node.objtype == pb.OBJECT_TABLE:
        return _draft_of_alter_table(statement, node, facts=facts)
    return Draft(
        steps=(as_written(statement, facts=facts),),
        refusals=(
            *hazards_of_statement(statement, facts=facts),
            *breaking_changes_of_statement(statement, facts=facts),
        ),
    )


def _of_what_stays(statement: Statement, *, facts: Facts) -> tuple[Hazard, ...]:
    """The hazards of a statement whose online form does most of it as it is written.

    The foreign keys of a new partition are taken out; what it does to its parent stays.
    """
    node = statement.node
    stays = isinstance(node, pb.ClusterStmt | pb.CreateStmt | pb.VacuumStmt) or (
        isinstance(node, pb.ReindexStmt) and not node.HasField("relation")
    )
    return hazards_of_statement(statement, facts=facts) if stays else ()


def _draft_of_alter_table(statement: Statement, node: pb.AlterTableStmt, *, facts: Facts) -> Draft:
    """What lasts runs before or after; the rest stays together, its actions may need each other."""
    table = facts.relation(node.relation)
    if table is None or (table.descendants and not node.relation.inh):
        # ONLY, and there are tables below: what it means for them is PostgreSQL's to say.
        hazards = _holds(node, table=table, facts=facts) if table else ()
        return Draft(steps=(as_written(statement, facts=facts),), refusals=hazards)
    splits, facts_then = _splits(node, facts=facts)
    before = tuple(step for split in splits for step in split.before)
    after = tuple(step for split in splits for step in split.after)
    rest = alter_table(table.name, *(command for split in splits for command in split.stays))
    rest.relation.inh, rest.missing_ok = node.relation.inh, node.missing_ok
    holds: tuple[Refusal, ...] = (
        *_holds(rest, table=table, facts=facts),
        *(refusal for split in splits for refusal in split.refusals),
    )
    if not before and not after:
        return Draft(steps=(as_written(statement, facts=facts),), refusals=holds)
    also = [node for split in splits for node in split.also]
    middle = (transaction(rest, *also, facts=facts_then),) if rest.cmds else ()
    # Two columns may share an index: it is dropped once.
    return Draft(steps=(*dict.fromkeys(before), *middle, *after), refusals=holds)


def _splits(node: pb.AlterTableStmt, *, facts: Facts) -> tuple[list[Split], Facts]:
    """Each action for itself, knowing what the ones before it have chosen and dropped."""
    splits: list[Split] = []
    for item in node.cmds:
        table = facts.relation(node.relation)
        if table is None:
            break
        action = Action(command=item.alter_table_cmd, statement=node, table=table, facts=facts)
        split = _split(action) or Split(stays=(action.command,))
        facts = _with_taken(facts, split.chosen_names, schema=table.name.schema)
        facts = facts.without_constraints(split.dropped_keys)
        splits.append(split)
    return splits, facts


def _holds(rest: pb.AlterTableStmt, *, table: Relation, facts: Facts) -> tuple[Hazard, ...]:
    actions = (
        Action(command=item.alter_table_cmd, statement=rest, table=table, facts=facts)
        for item in rest.cmds
    )
    return tuple(hold for action in actions for hold in hazards_of_action(action))


def _split(action: Action) -> Split | None:
    for_two = expanded_action(action) or taken_back_action(action)
    return for_two if for_two is not None else online_form_of_action(action)


def _with_taken(facts: Facts, names: frozenset[str], *, schema: str) -> Facts:
    if not names:
        return facts
    taken = {**facts.taken_names, schema: facts.taken_in(schema) | names}
    return replace(facts, taken_names=taken)


def needs_no_transaction_of_its_own(statement: Statement, *, facts: Facts) -> bool:
    """What reads much, or can be used only once it is committed, does not go with others."""
    node = statement.node
    if isinstance(node, pb.AlterEnumStmt):
        return not node.new_val or bool(node.old_val)
    fills_a_table = isinstance(node, pb.CreateTableAsStmt) or (
        isinstance(node, pb.SelectStmt) and node.HasField("into_clause")
    )
    return not (fills_a_table and any(facts.in_use(read) for read in find(node, pb.RangeVar)))
