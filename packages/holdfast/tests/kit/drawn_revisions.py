"""Revisions drawn at random from what authors do, on the tables of TABLES; each of them runs under plain Alembic.

What a later line may rely on is followed in a `Draft`: the columns that are there and filled, indexes, constraints.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psycopg
from alembic import command
from hypothesis import strategies as st
from side_by_side import SideBySide, side_by_side
from sqlalchemy.exc import OperationalError

from holdfast.errors.locks import KeepsUsersWaiting
from holdfast.errors.sqlstate import DEADLOCK_DETECTED, sqlstate
from holdfast.errors.unfinished import FunctionWasInterrupted
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres

TABLES = """
CREATE TABLE u (id int PRIMARY KEY);
INSERT INTO u SELECT generate_series(1, 50);
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b text, u int, touched int NOT NULL DEFAULT 0,
  CONSTRAINT few CHECK (a < 100000));
INSERT INTO t SELECT n, n, 'b' || n, 1 + n % 50 FROM generate_series(1, 2500) AS n;
CREATE INDEX t_b ON t (b);
ALTER TABLE t ADD CONSTRAINT t_one UNIQUE (id, a);
CREATE VIEW v AS SELECT id, a FROM t;
CREATE TABLE noted (id int PRIMARY KEY, what text);
INSERT INTO noted SELECT n, 'x' FROM generate_series(1, 200) AS n;
CREATE TABLE notes (noted int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO notes (noted) VALUES (NEW.id); RETURN NEW; END';
CREATE TRIGGER noting AFTER UPDATE ON noted FOR EACH ROW EXECUTE FUNCTION note();
CREATE POLICY everything ON noted USING (true);
ALTER TABLE noted ENABLE ROW LEVEL SECURITY;
CREATE TABLE child (id int PRIMARY KEY, n int, u int CONSTRAINT child_u REFERENCES u);
INSERT INTO child SELECT n, n, 1 + n % 50 FROM generate_series(1, 300) AS n;
CREATE TYPE mood AS ENUM ('good');
CREATE TABLE typed (id int PRIMARY KEY, amount int NOT NULL DEFAULT 3);
INSERT INTO typed SELECT n, n FROM generate_series(1, 1200) AS n;
CREATE INDEX typed_amount ON typed (amount);
CREATE VIEW amounts AS SELECT id, amount FROM typed;
"""
# What a copy of the column leads to, one after the other; it stands last already.
TYPES = ("bigint", "numeric(12,2)", "text")
# What two users do meanwhile; nothing of it is in the way of a revision, nor left behind but in `touched`.
USERS = (
    ("UPDATE t SET touched = touched + 1 WHERE id = 1 + (random() * 2000)::int",),
    ("INSERT INTO u VALUES (1000000)", "DELETE FROM u WHERE id = 1000000"),
)


@dataclass(kw_only=True)
class Draft:
    """A revision that is being written."""

    lines: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)  # of t, added here
    filled: set[str] = field(default_factory=set)
    indexes: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    types: list[str] = field(default_factory=lambda: list(TYPES))  # that `amount` has not had
    number: int = 0

    def new(self, prefix: str) -> str:
        """A name that nothing has yet."""
        self.number += 1
        return f"{prefix}{self.number}"

    def sql(self, *statements: str) -> None:
        """Through op.execute."""
        self.lines += [f"op.execute({statement!r})" for statement in statements]


Line = Callable[[Draft, st.DataObject], None]


def _one(data: st.DataObject, of: list[str]) -> str:
    return data.draw(st.sampled_from(of))


def add_column(draft: Draft, data: st.DataObject) -> None:
    name = draft.new("c")
    kind = data.draw(
        st.sampled_from(["", ", server_default='7'", ", nullable=False, server_default='7'"])
    )
    draft.lines.append(f"op.add_column('t', sa.Column({name!r}, sa.Integer{kind}))")
    draft.columns.append(name)
    if kind:
        draft.filled.add(name)


def fill_column(draft: Draft, data: st.DataObject) -> None:
    if not draft.columns:
        return
    name = _one(data, draft.columns)
    value = data.draw(
        st.sampled_from(
            ["a + 1", "id % 7", "(SELECT max(id) FROM u WHERE id < 100)", "length(b) + 1"]
        )
    )
    if value.startswith("length") and "b" in draft.dropped:
        return
    draft.sql(f"UPDATE t SET {name} = {value}")
    draft.filled.add(name)


def write_some(draft: Draft, data: st.DataObject) -> None:
    statement = data.draw(
        st.sampled_from(
            [
                "UPDATE t SET a = a + 1 WHERE id < 20",
                "UPDATE t SET a = a + 1",
                "UPDATE t SET u = 1 + id % 50 WHERE u > 10",
                "DELETE FROM t WHERE id > 2490",
                "INSERT INTO u VALUES (901) ON CONFLICT DO NOTHING",
                "UPDATE t SET a = 5 WHERE id = 7",
                "INSERT INTO notes (noted) SELECT id FROM u WHERE id < 5",
            ]
        )
    )
    draft.sql(statement)


def require_column(draft: Draft, data: st.DataObject) -> None:
    if draft.filled:
        name = _one(data, sorted(draft.filled))
        draft.lines.append(f"op.alter_column('t', {name!r}, nullable=False)")


def create_index(draft: Draft, data: st.DataObject) -> None:
    name = draft.new("i")
    columns = _one(data, ["a", "u", *draft.columns])
    unique = data.draw(st.sampled_from(["", ", unique=True"]))
    columns = f"'id', {columns!r}" if unique else f"{columns!r}"
    draft.lines.append(f"op.create_index({name!r}, 't', [{columns}]{unique})")
    draft.indexes.append(name)


def replace_index(draft: Draft, data: st.DataObject) -> None:
    if "b" in draft.dropped:
        return
    draft.lines += ["op.drop_index('t_b')", "op.create_index('t_b', 't', ['b', 'a'])"]


def drop_column(draft: Draft, data: st.DataObject) -> None:
    if draft.columns:
        name = draft.columns.pop()
        draft.filled.discard(name)
        draft.lines.append(f"op.drop_column('t', {name!r})")


def rename_own_column(draft: Draft, data: st.DataObject) -> None:
    if draft.columns:
        name, to = draft.columns.pop(), draft.new("renamed")
        draft.lines.append(f"op.alter_column('t', {name!r}, new_column_name={to!r})")
        draft.columns.append(to)
        if name in draft.filled:
            draft.filled.remove(name)
            draft.filled.add(to)


def swap_column(draft: Draft, data: st.DataObject) -> None:
    if "b" in draft.dropped:
        return
    draft.dropped.add("b")
    draft.sql(
        "ALTER TABLE t ADD COLUMN b_new varchar",
        "UPDATE t SET b_new = upper(b)",
        "ALTER TABLE t DROP COLUMN b",
        "ALTER TABLE t RENAME b_new TO b",
    )


def replace_check(draft: Draft, data: st.DataObject) -> None:
    between = data.draw(st.sampled_from(["", "UPDATE t SET a = a + 1"]))
    draft.lines.append("op.drop_constraint('few', 't', type_='check')")
    if between:
        draft.sql(between)
    draft.lines.append("op.create_check_constraint('few', 't', 'a < 200000')")


def replace_unique(draft: Draft, data: st.DataObject) -> None:
    draft.lines += [
        "op.drop_constraint('t_one', 't', type_='unique')",
        "op.create_unique_constraint('t_one', 't', ['id', 'a', 'u'])",
        "op.drop_constraint('t_one', 't', type_='unique')",
        "op.create_unique_constraint('t_one', 't', ['id', 'a'])",
    ]


def nullable_for_a_while(draft: Draft, data: st.DataObject) -> None:
    draft.lines.append("op.alter_column('t', 'a', nullable=True)")
    between(draft, data)
    draft.lines.append("op.alter_column('t', 'a', nullable=False)")


def lend_privilege(draft: Draft, data: st.DataObject) -> None:
    draft.sql("GRANT SELECT, UPDATE ON t TO pg_monitor")
    between(draft, data)
    draft.sql("REVOKE ALL ON t FROM pg_monitor")


def foreign_key(draft: Draft, data: st.DataObject) -> None:
    name = draft.new("fk")
    draft.lines.append(f"op.create_foreign_key({name!r}, 't', 'u', ['u'], ['id'])")


def replace_view(draft: Draft, data: st.DataObject) -> None:
    draft.sql("DROP VIEW v")
    between(draft, data)
    draft.sql("CREATE VIEW v AS SELECT id, a, u FROM t", "GRANT SELECT ON v TO pg_monitor")


def switch_off(draft: Draft, data: st.DataObject) -> None:
    off, on = data.draw(
        st.sampled_from(
            [
                ("DISABLE TRIGGER noting", "ENABLE TRIGGER noting"),
                ("DISABLE TRIGGER ALL", "ENABLE TRIGGER ALL"),
                ("DISABLE ROW LEVEL SECURITY", "ENABLE ROW LEVEL SECURITY"),
            ]
        )
    )
    draft.sql(f"ALTER TABLE noted {off}", "UPDATE noted SET what = what || 'y'")
    between(draft, data)
    draft.sql(f"ALTER TABLE noted {on}")


def replace_trigger(draft: Draft, data: st.DataObject) -> None:
    draft.sql("DROP TRIGGER noting ON noted", "UPDATE noted SET what = 'z' WHERE id < 50")
    draft.sql(
        "CREATE TRIGGER noting AFTER UPDATE ON noted FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION note()"
    )


def new_table(draft: Draft, data: st.DataObject) -> None:
    name = draft.new("n")
    key = data.draw(st.sampled_from(["", ", sa.ForeignKey('u.id')"]))
    columns = f"sa.Column('id', sa.Integer, primary_key=True), sa.Column('u', sa.Integer{key})"
    draft.lines += [
        f"new = op.create_table({name!r}, {columns})",
        "op.bulk_insert(new, [{'id': 1, 'u': 1}, {'id': 2, 'u': 2}])",
        f"op.create_index({name + '_u'!r}, {name!r}, ['u'])",
    ]
    draft.tables.append(name)


def drop_table(draft: Draft, data: st.DataObject) -> None:
    if draft.tables:
        draft.lines.append(f"op.drop_table({draft.tables.pop()!r})")


def rename_table(draft: Draft, data: st.DataObject) -> None:
    if draft.tables:
        name, to = draft.tables.pop(), draft.new("m")
        draft.lines.append(f"op.rename_table({name!r}, {to!r})")
        draft.tables.append(to)


def change_type(draft: Draft, data: st.DataObject) -> None:
    if not draft.types:
        return
    kind = draft.types.pop(0)
    draft.sql("DROP VIEW amounts")
    between(draft, data)
    draft.sql("ALTER TABLE typed ALTER amount DROP DEFAULT")
    draft.sql(f"ALTER TABLE typed ALTER amount TYPE {kind}")
    draft.sql("ALTER TABLE typed ALTER amount SET DEFAULT '4'")
    between(draft, data)
    draft.sql("CREATE VIEW amounts AS SELECT id, amount FROM typed")
    if data.draw(st.booleans()):
        draft.sql("UPDATE typed SET amount = '7' WHERE id < 400")


def replace_foreign_key(draft: Draft, data: st.DataObject) -> None:
    draft.lines.append("op.drop_constraint('child_u', 'child', type_='foreignkey')")
    between(draft, data)
    draft.sql("UPDATE child SET u = 1 + u % 50")
    draft.lines.append(
        "op.create_foreign_key('child_u', 'child', 'u', ['u'], ['id'], ondelete='CASCADE')"
    )


def temporary_table(draft: Draft, data: st.DataObject) -> None:
    name = draft.new("x")
    draft.sql(
        f"CREATE TEMP TABLE {name} AS SELECT id FROM t WHERE id < 9",
        f"UPDATE child SET n = n + 1 WHERE id IN (SELECT id FROM {name})",
    )


def enum_value(draft: Draft, data: st.DataObject) -> None:
    draft.sql(f"ALTER TYPE mood ADD VALUE {draft.new('mood')!r}")


def read(draft: Draft, data: st.DataObject) -> None:
    draft.lines.append("op.get_bind().execute(sa.text('SELECT count(*) FROM t')).scalar_one()")


def look_at_the_catalog(draft: Draft, data: st.DataObject) -> None:
    draft.lines.append("sa.inspect(op.get_bind()).get_columns('t')")


def counted_write(draft: Draft, data: st.DataObject) -> None:
    draft.lines.append(
        "assert op.get_bind().execute(sa.text('UPDATE t SET a = a + 2 WHERE id < 9')).rowcount == 8"
    )


def savepoint(draft: Draft, data: st.DataObject) -> None:
    name = draft.new("s")
    draft.lines.append(
        f"with op.get_bind().begin_nested():\n    op.add_column('t', sa.Column({name!r}, sa.Integer))"
    )
    draft.columns.append(name)


def savepoint_rolled_back(draft: Draft, data: st.DataObject) -> None:
    draft.lines.append(
        "nested = op.get_bind().begin_nested()\nop.execute('INSERT INTO u VALUES (5555)')\nnested.rollback()"
    )


def drivers_own_connection(draft: Draft, data: st.DataObject) -> None:
    draft.lines.append(
        "op.get_bind().connection.cursor().execute('UPDATE t SET a = a + 3 WHERE id BETWEEN 30 AND 40')"
    )


def autocommit_block(draft: Draft, data: st.DataObject) -> None:
    name = draft.new("j")
    draft.lines.append(
        "with op.get_context().autocommit_block():\n"
        f"    op.create_index({name!r}, 't', ['u'], postgresql_concurrently=True)"
    )


def block(draft: Draft, data: st.DataObject) -> None:
    draft.sql("DO $$BEGIN UPDATE t SET a = a + 1 WHERE id = 3; END$$")


def defaults_and_comments(draft: Draft, data: st.DataObject) -> None:
    draft.sql("ALTER TABLE t ALTER a SET DEFAULT 5", "COMMENT ON COLUMN t.a IS 'how many'")


def setting(draft: Draft, data: st.DataObject) -> None:
    draft.sql("SET LOCAL search_path = public, pg_temp")


def between(draft: Draft, data: st.DataObject) -> None:
    """What stands between two statements that belong together; often nothing."""
    kinds = [
        None,
        None,
        create_index,
        read,
        look_at_the_catalog,
        defaults_and_comments,
        counted_write,
        savepoint,
        drivers_own_connection,
        enum_value,
    ]
    kind = data.draw(st.sampled_from(kinds))
    if kind is not None:
        kind(draft, data)


LINES: tuple[Line, ...] = (
    add_column,
    fill_column,
    write_some,
    require_column,
    create_index,
    replace_index,
    drop_column,
    rename_own_column,
    swap_column,
    replace_check,
    replace_unique,
    nullable_for_a_while,
    lend_privilege,
    foreign_key,
    replace_view,
    switch_off,
    replace_trigger,
    new_table,
    drop_table,
    read,
    look_at_the_catalog,
    counted_write,
    savepoint,
    savepoint_rolled_back,
    drivers_own_connection,
    autocommit_block,
    block,
    defaults_and_comments,
    setting,
    rename_table,
    change_type,
    replace_foreign_key,
    temporary_table,
    enum_value,
)


def drawn_revision(data: st.DataObject) -> str:
    """The body of an upgrade()."""
    draft = Draft()
    for line in data.draw(st.lists(st.sampled_from(LINES), min_size=2, max_size=9)):
        line(draft, data)
    return "\n".join(draft.lines) or "pass"


@contextmanager
def users_of(url: str) -> Iterator[None]:
    """For the block two users write; what a constraint of the revision refuses them, they leave."""
    ended = Event()

    def use(statements: tuple[str, ...]) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.is_set():
                for statement in statements:
                    try:
                        connection.execute(statement.encode())
                    except psycopg.Error:
                        continue
                ended.wait(0.002)
            connection.execute("DELETE FROM u WHERE id = 1000000")

    threads = [Thread(target=use, args=(each,), daemon=True) for each in USERS]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)


@contextmanager
def twins(postgres: Postgres, folder: Path) -> Iterator[SideBySide]:
    """Two databases in use."""
    with ExitStack() as lifetime:
        yield side_by_side(postgres, folder, before=TABLES, lifetime=lifetime)


def compare(both: SideBySide, source: str) -> None:
    """The revision on both, each under its users; then schema and rows, but for what the users have counted.

    On a loaded machine users may wait too long for a lock that the revision holds while its function goes on: it is
    given up, where plain Alembic lets them wait. Once they have gone the next run goes on, and ends alike. Where the
    function cannot be replayed, or plain Alembic is the victim of a deadlock, there is nothing to compare.
    """
    both.revision(source)
    is_given_up = False
    with users_of(both.plain.database), users_of(both.online.database):
        try:
            command.upgrade(both.plain.config, "head")
        except OperationalError as error:
            if (
                sqlstate(error) == DEADLOCK_DETECTED
            ):  # with a user: plain Alembic has nobody to try again
                return
            raise
        try:
            upgrade(both.online.config, "head")
        except (KeepsUsersWaiting, FunctionWasInterrupted):
            is_given_up = True
    if is_given_up:
        try:
            upgrade(both.online.config, "head")
        except FunctionWasInterrupted:
            return
    for project in (both.plain, both.online):
        project.query("UPDATE t SET touched = 0")
    both.compare()
