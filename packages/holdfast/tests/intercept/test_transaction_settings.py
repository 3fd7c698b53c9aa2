"""SET TRANSACTION, SET SESSION CHARACTERISTICS and a default isolation level are as under plain Alembic."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from author_revisions import BEFORE
from everywhere import each
from project_at_work import ProjectWith
from side_by_side import SideBySide, side_by_side

from holdfast.errors.statement import PreparesTransaction
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres

QUEUE = (
    "op.create_index('i', 't', ['a'])\n"
    "op.execute('UPDATE t SET a = a + 1')\n"
    "op.create_check_constraint('few', 't', 'a < 1000')\n"
    "op.execute('INSERT INTO u VALUES (99)')"
)
FORMS = [
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET TIME ZONE 'Europe/Berlin'",
    "RESET ALL",
    "SET LOCAL transaction_read_only = off",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE, DEFERRABLE",
    "SET default_transaction_isolation = 'repeatable read'",
    "SET NAMES 'UTF8'",
    "SET SCHEMA 'public'",
    "SET SEED TO 0.5",
]


@pytest.fixture
def both(postgres: Postgres, tmp_path: Path) -> Iterator[SideBySide]:
    """Two databases in use."""
    with ExitStack() as lifetime:
        yield side_by_side(postgres, tmp_path, before=BEFORE, lifetime=lifetime)


@pytest.mark.parametrize("form", each(FORMS, here=2))
def test_any_form_of_set(both: SideBySide, form: str) -> None:
    """Before a queue and behind one."""
    both.revision(f"op.execute({form!r})\n{QUEUE}")
    both.revision(
        f"op.create_index('j', 't', ['b'])\nop.execute({form!r})\nop.create_index('k', 'u', ['id'])"
    )
    both.upgrade()


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_default_isolation_level(both: SideBySide, level: str) -> None:
    """A row that a user has just written is no reason to stop."""
    for project in (both.plain, both.online):
        database = project.query("SELECT quote_ident(current_database())")[0][0]
        project.query(f"ALTER DATABASE {database} SET default_transaction_isolation = '{level}'")
    both.revision(QUEUE)
    both.upgrade()


def test_a_transaction_is_not_prepared(project_with: ProjectWith) -> None:
    """Nobody would end it: it would keep its locks, and the next run out."""
    project = project_with("op.execute('CREATE TABLE t (id int)')")
    project.revision(
        "op.execute('INSERT INTO t VALUES (1)'); op.execute(\"PREPARE TRANSACTION 'x'\")"
    )
    with pytest.raises(PreparesTransaction):
        upgrade(project.config, "head")
    assert project.query("SELECT id FROM t") == []


BEGUN = [
    "BEGIN; INSERT INTO t VALUES (1); COMMIT",
    "BEGIN; INSERT INTO t VALUES (2); ROLLBACK; START TRANSACTION; INSERT INTO t VALUES (1); END",
]


@pytest.mark.parametrize("script", BEGUN)
def test_a_transaction_that_a_script_begins_where_each_statement_commits_itself(
    project_with: ProjectWith, script: str
) -> None:
    """Between BEGIN and its end there is one; behind that each statement commits itself again."""
    project = project_with("op.execute('CREATE TABLE t (id int)')")
    project.revision(
        f"with op.get_context().autocommit_block():\n    op.execute({script!r})\n    op.execute('VACUUM t')\n"
        "op.add_column('t', sa.Column('a', sa.Integer))"
    )
    upgrade(project.config, "head")
    assert project.query("SELECT id, a FROM t") == [(1, None)]
