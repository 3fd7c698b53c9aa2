"""What plain Alembic makes of a history: the database at each revision, to be copied, and its schema at the end."""

from dataclasses import dataclass, field

import psycopg
from environments import History
from processes import Processes
from psycopg import sql
from type_changes import in_any_order

from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

UNRELATED = "CREATE TABLE unrelated (id integer PRIMARY KEY)"
TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    ORDER BY relname
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is compared: the schema as pg_dump writes it, the number of rows of each table.

    Not the order of columns: one whose type was changed by a copy stands last.
    """

    schema: str
    rows: dict[str, int]


def state_of(url: str) -> State:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS unrelated")
        rows = {}
        for (table,) in connection.execute(TABLES).fetchall():
            count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            [(rows[table],)] = connection.execute(count).fetchall()
    return State(schema=in_any_order(schema_dump(url)), rows=rows)


@dataclass(kw_only=True)
class Stock:
    """Databases of plain Alembic. `at` builds the one that is asked for, from the nearest before it."""

    history: History
    postgres: Postgres
    processes: Processes
    revisions: list[str]
    databases: dict[int, str] = field(default_factory=dict)  # number of revisions applied → name

    def at(self, applied: int) -> str:
        """A template with so many revisions in it, and one table more that nobody migrates."""
        if applied not in self.databases:
            self.databases[applied] = self._built(applied)
        return self.databases[applied]

    def before(self, revision: str) -> int:
        """How many revisions are applied before this one."""
        return self.revisions.index(revision)

    def _built(self, applied: int) -> str:
        if applied == 0:
            return self._base()
        before = max(known for known in self.databases if known < applied)
        passes_excepted = any(
            revision in self.history.excepted for revision in self.revisions[before:applied]
        )
        name = self.postgres.create(template=self.at(0 if passes_excepted else before))
        answer = self.processes.plain(self.postgres.url(name), self.revisions[applied - 1])
        assert answer.error is None, f"plain Alembic, from {before} to {applied}: {answer.error}"
        return name

    def _base(self) -> str:
        name = self.postgres.create()
        self.processes.prepare(self.postgres.url(name))
        with psycopg.connect(self.postgres.url(name)) as connection:
            connection.execute(UNRELATED)
        return name
