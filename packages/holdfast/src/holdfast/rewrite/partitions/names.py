"""The names that may be chosen for what a new partition needs before it is attached."""

from collections.abc import Iterator, Sequence

from holdfast.rewrite.facts import Relation
from holdfast.rewrite.index_build import column_names, joined
from holdfast.rewrite.names import candidates
from holdfast.rewrite.partitions.bounds import LABEL
from holdfast.rewrite.partitions.same_index import parsed_index


def names_of_partition(partition: str, tables: Sequence[Relation]) -> Iterator[str]:
    """Give the names for its CHECK, the default partition's CHECK, and the indexes that the table has."""
    yield from candidates(partition, label=LABEL)
    for table in tables:
        if table.default_partition is not None:
            yield from candidates(table.default_partition.name.name, label=LABEL)
        below = [
            part.name.name
            for each in tables
            for part in each.partitions
            if each.name.name == partition
        ]
        for name in (partition, *below):
            yield from candidates(name, label="pkey")
            for index in (known for known in table.indexes if known.definition):
                second = joined(column_names(parsed_index(index)))
                for label in ("idx", "key"):
                    yield from candidates(name, second=second, label=label)
            for key in table.foreign_keys():
                yield from candidates(name, second=joined(key.columns), label="fkey")
