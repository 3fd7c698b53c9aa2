"""Notes for the reviewer of a column copy: what differs afterwards, and who may notice."""

from collections.abc import Iterable, Iterator

from holdfast.rewrite.column_copy.facts import ChangedTable, OwnedSequence


def notes_of_copying(table: ChangedTable) -> tuple[str, ...]:
    """Say what to know before the rows are written to the copy."""
    return (
        (
            f"needs free disk for {table.table} once more, indexes of the column included; PostgreSQL does"
            " not say how much is free"
        ),
    )


def notes_of_new_copies(table: ChangedTable, *, copies: Iterable[str]) -> tuple[str, ...]:
    """Say what to know before the copies are added."""
    if not table.is_partitioned:
        return ()
    return (
        f"until the copy takes its place, a table that is attached to {table.table} needs {', '.join(copies)}, too",
    )


def notes_of_swap(table: ChangedTable) -> tuple[str, ...]:
    """Say what to know before the copy takes the column's place."""
    return tuple(_of_swap(table))


def _of_swap(table: ChangedTable) -> Iterator[str]:
    names = ", ".join(column.name for column in table.columns)
    verb = "stands" if len(table.columns) == 1 else "stand"
    yield (
        f"{names} {verb} last in {table.table} afterwards: INSERT and COPY without a list of columns would"
        " write wrong ones, SELECT * gives another order"
    )
    for sequence in table.sequences:
        yield from _of_sequence(sequence, table)
    if any(index.is_unique for index in table.indexes):
        yield (
            "from the build of the unique index to this step, sessions that upsert the same new key at"
            " once can get 23505"
        )


def _of_sequence(sequence: OwnedSequence, table: ChangedTable) -> Iterator[str]:
    change = table.conversion(sequence.column)
    if sequence.is_identity:
        yield f"{sequence.name} is a new sequence afterwards: currval() of open sessions fails until they draw again"
    elif change is not None and change.new_type == "bigint" and sequence.type != "bigint":
        yield (
            f"{sequence.name} stays {sequence.type}, as plain Alembic leaves it; to give it the new limit:"
            f" ALTER SEQUENCE {sequence.name} AS bigint"
        )
