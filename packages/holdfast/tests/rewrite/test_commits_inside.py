"""Which bodies may commit while they run: those are never repeated."""

import pytest

from holdfast.rewrite.commits_inside import may_commit_inside
from holdfast.rewrite.statement import parse

CASES = {
    "CALL p()": True,
    "DO $$ BEGIN COMMIT; END $$": True,
    "DO $$ BEGIN IF true THEN FOR i IN 1..2 LOOP ROLLBACK; END LOOP; END IF; END $$": True,
    "DO $$ BEGIN CALL p(); END $$": True,
    "DO $$ BEGIN DO 'BEGIN COMMIT; END'; END $$": True,
    "DO LANGUAGE plpython3u $$ plpy.commit() $$": True,
    "DO $$ this is no PL/pgSQL $$": True,
    "DO $$ BEGIN UPDATE t SET a = 1; END $$": False,
    "DO $$ BEGIN PERFORM 1; /* then COMMIT */ END $$": False,
    "DO $$ BEGIN RAISE NOTICE 'rollback'; END $$": False,
    "DO $$ BEGIN UPDATE t SET a = 1; EXCEPTION WHEN OTHERS THEN NULL; END $$": False,
    "UPDATE t SET a = 1": False,
}


@pytest.mark.parametrize("sql", CASES)
def test_what_may_commit_inside(sql: str) -> None:
    """Whatever way a body has to end a transaction, by itself or by a procedure, counts; a word in a text does not."""
    [statement] = parse(sql)
    assert may_commit_inside(statement) is CASES[sql]
