"""Says why a column cannot be copied: for each reason what stands in the way, and what to do about it."""

from collections.abc import Iterator
from datetime import timedelta

from postgast import pg_query_pb2 as pb

from holdfast.errors.durations import in_words
from holdfast.rewrite.column_copy.facts import ChangedTable, Conversion, Dependent
from holdfast.rewrite.tree import find, parsed_constraint, strings

# Measured on 18, with 8 to 64 partitions: what each of them, of their indexes and of their keys adds to the swap.
PER_PARTITION = timedelta(milliseconds=0.1)
PER_INDEX = timedelta(milliseconds=0.2)
PER_KEY = timedelta(milliseconds=0.3)
LONGEST_MOMENT = timedelta(milliseconds=30)  # users' limit is 50, and their own work is in it
CLOCKS = frozenset(["now()", "transaction_timestamp()", "statement_timestamp()", "age(xid)"])


def refusals(table: ChangedTable) -> tuple[str, ...]:
    """Give every reason, in the order in which to deal with them; none if the columns can be copied."""
    everything = (table, *table.below)
    reasons = (
        *_of_postgresql(table),
        *(reason for each in everything for reason in _of_table(each)),
        *(reason for part in table.below for reason in _of_partition(part, of=table)),
        *(reason for each in table.with_rows for reason in _of_triggers(each)),
        *(reason for each in everything for reason in _of_objects(each)),
        *(reason for change in table.changes for reason in _of_expression(change, table)),
    )
    return tuple(dict.fromkeys(reasons))


def columns_read(change: Conversion) -> tuple[str, ...]:
    """Give the columns of the table that the new value is made from."""
    if not change.probe:
        return (change.column,)
    expression = parsed_constraint(change.probe, name="probe").raw_expr
    named = {strings(reference.fields)[-1] for reference in find(expression, pb.ColumnRef)}
    return tuple(sorted(named | {change.column}))


def _of_postgresql(table: ChangedTable) -> Iterator[str]:
    """Give PostgreSQL's own reasons: what it does not change along with the column."""
    for change in table.changes:
        if change.error:
            yield f"It could not be tried on an empty copy of the table: {change.error}."
    for found in all_dependents(table):
        yield (
            f"The {found.what} depends on the column, and PostgreSQL changes no type under it: drop it"
            " before, and create it again after, in the same revision."
        )
    for name in table.partition_key:
        yield f"{name} is part of the key by which the table is partitioned."


def all_dependents(table: ChangedTable) -> tuple[Dependent, ...]:
    """Give what PostgreSQL does not change along with the columns, of the table and its partitions."""
    return tuple(found for each in (table, *table.below) for found in each.dependents)


def _of_table(table: ChangedTable) -> Iterator[str]:
    if table.parent is None and table.inherits:
        yield "The table is a partition or inherits; a column is copied of a table as a whole."
    if (moment := _moment(table)) > LONGEST_MOMENT:
        yield (
            f"For its {len(table.below)} partitions, with their indexes and keys on the column, users would wait"
            f" {in_words(moment)} or more when the copy takes the place of the column; up to"
            f" {in_words(LONGEST_MOMENT)} are allowed. Add a column of the new type, have the application write both,"
            " fill it with an UPDATE of each partition, and drop the old one a release later."
        )
    if table.row_type_used_by:
        yield f"{table.row_type_used_by} has a column of the row type of the table."
    if table.is_typed:
        yield "The table was created OF a type."
    for column in table.columns:
        if column.is_generated:
            yield f"{column.name} is a generated column."
    if table.hides_rows:
        yield (
            "Row level security hides rows from the role that migrates, so that not all would be"
            " copied: give it BYPASSRLS, or migrate as the owner without FORCE."
        )
    if table.published_by:
        yield (
            f"The publication {table.published_by} sends all columns of the table: its subscribers"
            " would stop at one that they do not have. Publish it with a list of columns."
        )


def _moment(table: ChangedTable) -> timedelta:
    """Estimate how long the swap of a partitioned table takes, on a processor of its own."""
    indexes = [index for part in table.below for index in part.indexes]
    keys = sum(index.constraint is not None for index in indexes)
    return len(table.below) * PER_PARTITION + len(indexes) * PER_INDEX + keys * PER_KEY


def _of_partition(part: ChangedTable, *, of: ChangedTable) -> Iterator[str]:
    if part.is_foreign:
        yield f"The partition {part.table} is a foreign table, of which no column is copied."
    if not part.is_owned:
        yield f"The partition {part.table} belongs to another role, which alone may change it."
    for name in part.partition_key:
        yield f"{name} is part of the key by which {part.table} is partitioned."
    for column in part.columns:
        if column.default != of.column(column.name).default:
            yield (
                f"{column.name} has another default in the partition {part.table} than in the table: give it the"
                " same, or none, before."
            )
    for key in part.foreign_keys:
        if not key.is_inherited:
            yield f"The foreign key {key.name} is one of the partition {part.table} alone."


def _of_triggers(table: ChangedTable) -> Iterator[str]:
    """Give the reasons of triggers: copying is an UPDATE of every row, which no application trigger may see."""
    on_update = [t for t in table.triggers if t.fires_on_update and not t.is_ours]
    for trigger in on_update:
        if trigger.enabled == "A" or (trigger.enabled == "R" and needs_replica_role(table)):
            yield f"The trigger {trigger.name} would fire for every row that is copied."
    if needs_replica_role(table) and not table.may_set_replica_role:
        yield (
            "Its triggers on UPDATE would fire for every row that is copied. An administrator can"
            " allow to keep them quiet: GRANT SET ON PARAMETER session_replication_role TO .."
        )


def needs_replica_role(table: ChangedTable) -> bool:
    """Whether some trigger or rule would see the copying unless the session is a replica."""
    fires = any(t.fires_on_update and t.enabled == "O" for t in table.triggers)
    return fires or table.has_update_rule


def _of_objects(table: ChangedTable) -> Iterator[str]:
    for index in table.indexes:
        if index.is_exclusion:
            yield f"{index.constraint} is a constraint whose index cannot be built CONCURRENTLY."
        elif index.is_deferrable:
            yield f"{index.constraint} is deferrable, which the index of a copy is not."
        elif not index.is_valid:
            yield f"The index {index.name} is not valid: drop it or build it again before."
    for key in table.foreign_keys:
        if key.of_partitioned:
            yield (
                f"The foreign key {key.name} is of a partitioned table, or leads to one: drop it in a revision before,"
                " and add it again in one behind."
            )


def _of_expression(change: Conversion, table: ChangedTable) -> Iterator[str]:
    if change.error:
        return
    if change.is_constrained_domain:
        yield (
            f"{change.new_type} is a domain with a constraint: a column of it cannot be added in a"
            " moment. Use its base type, and add its condition as a CHECK."
        )
    if change.reads_whole_row:
        yield "USING reads a whole row."
    for column in sorted(set(columns_read(change)) & set(table.generated)):
        yield f"USING reads the generated column {column}, which a trigger sees empty."
    if change.reads_clock:
        yield "USING reads the clock or the session, and would give another value each time."
    for function in change.functions:
        if function.volatility == "v" or function.name in CLOCKS:
            yield f"{function.name} in USING gives another value each time."
        elif function.volatility == "s" and not function.is_built_in:
            yield f"{function.name} in USING is STABLE only: what it reads may change meanwhile."
