"""Renames the indexes of copies and sets their comments: in the swap, or per partition before and after it.

The more is done around the swap of a table with partitions, the shorter users wait for it.
"""

from collections.abc import Iterator

from holdfast.rewrite.column_copy.copied import Copied
from holdfast.rewrite.column_copy.facts import DependentIndex
from holdfast.rewrite.column_copy.renamed import index_of_copy
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.steps import BatchStep, TransactionStep


def columns_of_index(copied: Copied, index: DependentIndex) -> Iterator[str]:
    """Rename an index's own columns, whose names RENAME COLUMN leaves as they are (psql shows them)."""
    name = QualifiedName(schema=copied.table.schema, name=copied.indexes[index.name])
    node = index_of_copy(index, name=name.name, copies=copied.copies)
    elements = (*node.index_params, *node.index_including_params)
    named = {item.index_elem.name for item in elements}
    for column, copy in copied.copies.items():
        if copy in named:
            yield f"ALTER TABLE {name} RENAME COLUMN {quote(copy)} TO {quote(column)}"


def index_renamed(copied: Copied, index: DependentIndex) -> Iterator[str]:
    """Rename an index; one of a constraint is renamed with its constraint."""
    if index.constraint is None:
        name = QualifiedName(schema=copied.table.schema, name=copied.indexes[index.name])
        yield f"ALTER INDEX {name} RENAME TO {quote(index.name)}"


def comments(copied: Copied) -> Iterator[str]:
    """Write the comments of indexes and constraints."""
    table = copied.table
    for index in copied.facts.indexes:
        name = QualifiedName(schema=table.schema, name=index.name)
        if index.constraint_comment:
            comment = literal(index.constraint_comment)
            yield f"COMMENT ON CONSTRAINT {quote(index.constraint or '')} ON {table} IS {comment}"
        if index.comment:
            yield f"COMMENT ON INDEX {name} IS {literal(index.comment)}"
    for check in copied.facts.checks:
        if check.comment:
            comment = literal(check.comment)
            yield f"COMMENT ON CONSTRAINT {quote(check.name)} ON {table} IS {comment}"


def before_swap(copied: Copied, index: DependentIndex) -> Iterator[TransactionStep]:
    """Rename an index of a partition, right after its build."""
    statements = tuple(columns_of_index(copied, index)) if copied.parent is not None else ()
    name = QualifiedName(schema=copied.table.schema, name=copied.indexes[index.name])
    if statements:
        yield TransactionStep(
            sql=statements,
            locks=(Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=name),),
            only_for=copied.only_for,
        )


def after_swap(copied: Copied) -> Iterator[BatchStep]:
    """Rename the indexes of each partition after the swap, even if it was detached meanwhile."""
    for each in copied.partitions:
        of_indexes = () if each.facts.is_partitioned else each.facts.indexes
        named = (text for index in of_indexes for text in index_renamed(each, index))
        body = "".join(f"{statement};\n" for statement in (*named, *comments(each)))
        if body:
            there = f"IF to_regclass({literal(str(each.table))}) IS NOT NULL"
            yield BatchStep(
                what=f"names of the indexes of {each.table}", sql=(f"{there} THEN\n{body}END IF",)
            )
