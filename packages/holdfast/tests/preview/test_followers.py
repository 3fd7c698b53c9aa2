"""What a subscriber would notice of a statement, and in which order both sides are safe."""

import pytest

from holdfast.preview.followers import shape_changes
from holdfast.rewrite.statement import parse


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ALTER TABLE t ADD COLUMN c int", [("t", "c", "add c on its subscribers first")]),
        ("ALTER TABLE s.t ADD c int", [("s.t", "c", "add c on its subscribers first")]),
        ('ALTER TABLE "T" ADD COLUMN "C d" int', [('"T"', "C d", 'add "C d" on its')]),
        ("ALTER TABLE t DROP COLUMN c", [("t", "c", "drop c here first")]),
        ("ALTER TABLE t ALTER c TYPE text", [("t", "c", "change c on its subscribers first")]),
        ("ALTER TABLE t RENAME c TO d", [("t", "c", "subscribers know it by its name")]),
        ("ALTER TABLE t RENAME TO u", [("t", None, "subscribers know it by its name")]),
        (
            "ALTER TABLE t ADD COLUMN c int, DROP COLUMN d",
            [("t", "c", "add c"), ("t", "d", "drop d here first")],
        ),
        ("ALTER TABLE t ALTER c SET NOT NULL", []),
        ("ALTER TABLE t ADD CHECK (c > 0) NOT VALID", []),
        ("ALTER INDEX i RENAME TO j", []),
        ("CREATE INDEX i ON t (c)", []),
        ("UPDATE t SET c = 1", []),
    ],
)
def test_shape_changes(sql: str, expected: list[tuple[str, str | None, str]]) -> None:
    """Whatever its form: columns that come, go, or change their name or type, and tables that do."""
    (statement,) = parse(sql)
    found = list(shape_changes(statement))
    assert [(each.table, each.column) for each in found] == [e[:2] for e in expected]
    for each, (_, _, order) in zip(found, expected, strict=True):
        assert each.order.startswith(order)
