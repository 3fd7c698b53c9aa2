"""What is asked of the catalog is asked before the first lock, once, and not about what the revision has made."""

from collections.abc import Iterator

import pytest
from alembic_project import Project
from project_at_work import ProjectWith
from sqlalchemy import Engine, event

from holdfast.execute.session import OwnEngine
from holdfast.migrate.run import upgrade

COLUMNS = "\n".join(f"op.add_column('orders', sa.Column('c{n}', sa.Integer))" for n in range(20))
TABLES = """
for i in range(20):
    key = [sa.Column('p', sa.Integer, sa.ForeignKey(f't{i-1}.id'))] if i else []
    op.create_table(f't{i}', sa.Column('id', sa.Integer, primary_key=True), sa.Column('c', sa.Text), *key)
    op.create_index(f't{i}_c', f't{i}', ['c'])
"""
BOTH = "op.add_column('users', sa.Column('a', sa.Integer))\n" + COLUMNS
LOOKED_AT = ("json_build_object", "to_regclass(written)", "pg_constraint", "pg_class")


@pytest.fixture
def in_use(project_with: ProjectWith) -> Project:
    """Two tables with rows."""
    return project_with(
        "op.execute('CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE users (id int)')"
    )


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """What holdfast itself sends, in its order."""
    statements: list[str] = []

    def note(connection: object, _cursor: object, sql: str, *_: object) -> None:
        if isinstance(getattr(connection, "engine", None), OwnEngine):
            statements.append(sql)

    event.listen(Engine, "before_cursor_execute", note)
    yield statements
    event.remove(Engine, "before_cursor_execute", note)


def questions(sent: list[str]) -> list[str]:
    return [sql for sql in sent if any(words in sql for words in LOOKED_AT)]


@pytest.mark.parametrize("source", [COLUMNS, BOTH])
def test_no_question_under_a_lock(in_use: Project, sent: list[str], source: str) -> None:
    """The tables are looked at while nothing is held."""
    in_use.revision(source)
    sent.clear()
    upgrade(in_use.config, "head")
    first = next(place for place, sql in enumerate(sent) if sql.startswith("ALTER TABLE"))
    last = max(place for place, sql in enumerate(sent) if sql.startswith("ALTER TABLE"))
    assert questions(sent[first:last]) == []
    assert len([sql for sql in sent[:first] if "has_uneven_checks" in sql]) == len(
        {line.split("'")[1] for line in source.splitlines()}
    )


def test_no_question_about_what_the_revision_has_made(in_use: Project, sent: list[str]) -> None:
    """As many for twenty new tables as for one."""
    in_use.revision(TABLES.replace("range(20)", "range(1)"))
    sent.clear()
    upgrade(in_use.config, "head")
    for_one = len(questions(sent))
    in_use.revision(TABLES.replace("f't{i", "f'more{i"))
    sent.clear()
    upgrade(in_use.config, "head")
    assert len(questions(sent)) <= for_one + 1, questions(sent)
