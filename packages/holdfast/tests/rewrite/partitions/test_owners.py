"""What is made partition by partition, where one of them belongs to a role that does not migrate."""

from dataclasses import replace
from datetime import date

import pytest

from holdfast.errors.statement import LongStatement
from holdfast.rewrite.facts import Column, Facts, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.online import rewrite
from holdfast.rewrite.statement import parse

PART = Relation(
    oid=2,
    name=QualifiedName(schema="public", name="m1"),
    kind=RelationKind.TABLE,
    partition_of=QualifiedName(schema="public", name="m"),
    owner="Somebody",
)
TABLE = Relation(
    oid=1,
    name=QualifiedName(schema="public", name="m"),
    kind=RelationKind.PARTITIONED_TABLE,
    columns=(Column(name="a", type="integer", not_null=True),),
    descendants=(PART.name,),
)
OTHER = Relation(oid=3, name=QualifiedName(schema="public", name="r"), kind=RelationKind.TABLE)
STATEMENTS = [
    "CREATE INDEX ON m (a)",
    "CREATE UNIQUE INDEX i ON m (a)",
    "ALTER TABLE m ADD UNIQUE (a)",
    "ALTER TABLE m ADD PRIMARY KEY (a)",
    "ALTER TABLE m ADD FOREIGN KEY (a) REFERENCES r (a)",
]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_a_partition_of_another_role(sql: str) -> None:
    """Whatever it is that only an owner may do: refused before anything has run, with the GRANT that lets it."""
    (statement,) = parse(sql)
    for is_owned in (True, False):
        table = replace(TABLE, partitions=(replace(PART, is_owned=is_owned),))
        facts = Facts(server_major=16, relations={("", "m"): table, ("", "r"): OTHER})
        if is_owned:
            assert rewrite(statement, facts=facts, today=date(2026, 1, 1))
            continue
        with pytest.raises(LongStatement) as raised:
            rewrite(statement, facts=facts, today=date(2026, 1, 1))
        assert 'GRANT "Somebody" to the role that migrates' in raised.value.instead
