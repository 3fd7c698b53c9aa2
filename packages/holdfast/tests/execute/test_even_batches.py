"""Batches write what the one statement would have written, whatever it calls."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from everywhere import named
from side_by_side import SideBySide, side_by_side

from holdfast.execute.progress import BackfillMoved
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres

SETUP = """
CREATE TABLE t (id int PRIMARY KEY, grp int, n int, at timestamptz DEFAULT now(), flag text, m int);
INSERT INTO t SELECT g, g % 10, NULL, '2020-01-01', 'x', NULL FROM generate_series(1, 1200) AS g;
CREATE FUNCTION stable_count(g int) RETURNS int LANGUAGE sql STABLE AS
  'SELECT count(*)::int FROM t WHERE grp = g AND n IS NULL';
CREATE FUNCTION volatile_count(g int) RETURNS int LANGUAGE plpgsql AS
  'BEGIN RETURN (SELECT count(*) FROM t WHERE grp = g AND n IS NULL); END';
CREATE FUNCTION left_over() RETURNS int LANGUAGE sql STABLE AS 'SELECT count(*)::int FROM t WHERE m IS NULL';
ALTER TABLE t ALTER m SET DEFAULT left_over();
CREATE FUNCTION counted(a int, b int) RETURNS boolean LANGUAGE sql STABLE AS
  'SELECT (SELECT count(*) FROM t WHERE n IS NULL) > a + b - a - b';
CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = counted);
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * a';
CREATE TYPE wrapped AS (a int);
CREATE FUNCTION wrap(a int) RETURNS wrapped LANGUAGE sql STABLE AS
  'SELECT ROW((SELECT count(*)::int FROM t WHERE n IS NULL))::wrapped';
CREATE CAST (int AS wrapped) WITH FUNCTION wrap(int);
"""
WHOLE = {
    "a stable function": "UPDATE t SET n = stable_count(grp)",
    "a volatile function": "UPDATE t SET n = volatile_count(grp) WHERE id < 3 OR id > 1190",
    "a function in the condition": "UPDATE t SET n = 1 WHERE stable_count(grp) > 100",
    "a function in a DELETE": "DELETE FROM t WHERE stable_count(grp) < 100 OR id < 3",
    "a default": "UPDATE t SET m = DEFAULT",
    "an operator": "UPDATE t SET n = CASE WHEN grp ### id THEN 1 ELSE 2 END",
    "a cast": "UPDATE t SET n = (grp::wrapped).a",
    "the transaction": "UPDATE t SET n = (txid_current() % 1)::int + (SELECT 0) WHERE id > 0",
}
IN_BATCHES = {
    "an immutable function": "UPDATE t SET n = twice(grp)",
    "a function of pg_catalog": "UPDATE t SET flag = to_char(at, 'YYYY') || upper(flag)",
}
AT_ONE_TIME = {
    "now()": "now()",
    "CURRENT_TIMESTAMP": "CURRENT_TIMESTAMP(3)",
    "inside": "date_trunc('milliseconds', statement_timestamp() + interval '1 day')",
    "DEFAULT": "DEFAULT",
    "a constant": "'now'",
}


@pytest.fixture
def both(postgres: Postgres, tmp_path: Path) -> Iterator[SideBySide]:
    """Two databases with rows that depend on each other."""
    with ExitStack() as lifetime:
        yield side_by_side(postgres, tmp_path, before=SETUP, lifetime=lifetime)


def batches(both: SideBySide) -> int:
    return sum(isinstance(event, BackfillMoved) for event in both.events)


WHOLE_HERE = ("a stable function", "a default")


@pytest.mark.parametrize("case", named(WHOLE, here=WHOLE_HERE))
def test_what_may_see_other_batches_is_one_statement(both: SideBySide, case: str) -> None:
    """The rows are plain Alembic's."""
    both.revision(f"op.execute({WHOLE[case]!r})")
    both.upgrade()
    assert batches(both) == 0


@pytest.mark.parametrize("case", IN_BATCHES)
def test_what_sees_only_its_row_is_batched(both: SideBySide, case: str) -> None:
    """Also with functions."""
    both.revision(f"op.execute({IN_BATCHES[case]!r})")
    both.upgrade()
    assert batches(both) > 1


@pytest.mark.parametrize("case", named(AT_ONE_TIME, here=("inside", "DEFAULT")))
def test_the_time_is_one_time(both: SideBySide, case: str) -> None:
    """In all rows, as now() is one moment for a transaction."""
    both.online.revision(f"op.execute({f'UPDATE t SET at = {AT_ONE_TIME[case]}'!r})")

    upgrade(both.online.config, "head")
    assert both.online.query("SELECT count(DISTINCT at), min(at) > '2024-01-01' FROM t") == [
        (1, True)
    ]
