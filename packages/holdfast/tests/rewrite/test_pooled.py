"""What needs a session of its own, or a guard, is told from what a transaction is enough for; whatever it is."""

import pytest

from holdfast.errors.statement import NeedsSession
from holdfast.rewrite.pooled import refuse_without_session
from holdfast.rewrite.statement import is_opaque_call, parse


def look_at(sql: str) -> None:
    (statement,) = parse(sql)
    refuse_without_session(statement, is_call=is_opaque_call(statement))


@pytest.mark.parametrize(
    "sql",
    [
        "SET lock_timeout = '1s'",
        "SELECT set_config('lock_timeout', '1s', false)",
        "SET SESSION AUTHORIZATION somebody",
        "RESET ALL",
        "CREATE TEMP TABLE t (id int)",
        "CREATE TEMP TABLE t AS SELECT 1",
        "SELECT 1 AS a INTO TEMP t",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE ALL",
        "DISCARD ALL",
        "LISTEN x",
        "LOAD 'auto_explain'",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock(1) FROM t",
        "DO $$ BEGIN END $$",
        "CALL p()",
        "SELECT f()",
        "CREATE EXTENSION pgcrypto",
        "DROP TABLE t CASCADE",
        "REASSIGN OWNED BY a TO b",
    ],
)
def test_refused(sql: str) -> None:
    """What would be left behind in the pooler, or what nobody can look into."""
    with pytest.raises(NeedsSession):
        look_at(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SET LOCAL lock_timeout = '1s'",
        "SELECT set_config('lock_timeout', '1s', true)",
        "CREATE TEMP TABLE t (id int) ON COMMIT DROP",
        "DECLARE c CURSOR FOR SELECT 1",
        "SELECT pg_advisory_xact_lock(1) FROM t",
        "LOCK TABLE t",
        "ALTER TABLE t ADD COLUMN c int",
        "CREATE INDEX i ON t (c)",
        "UPDATE t SET c = 1",
        "INSERT INTO t VALUES (1) RETURNING c",
        "SELECT count(*) FROM t",
        "NOTIFY x",
    ],
)
def test_executed(sql: str) -> None:
    """What ends with its transaction."""
    look_at(sql)
