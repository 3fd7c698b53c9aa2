"""A column is copied while its table is used: given up, disturbed, stopped by rows, and under traffic."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event as Signal
from threading import Thread

import psycopg
import pytest
from alembic import command
from alembic_project import Project
from contract import project_of
from everywhere import each, named
from side_by_side import side_by_side
from sqlalchemy.exc import DBAPIError
from type_changes import TYPE_CHANGES, all_rows, in_any_order

from holdfast.errors.steps import CopyDisturbed, DataInTheWay
from holdfast.errors.unfinished import StoppedBetweenSteps
from holdfast.execute.progress import BackfillMoved, Event, LockBusy, StepDone, StepStarted
from holdfast.migrate.abandon import abandon
from holdfast.migrate.leave import leave
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

# What the planner of PostgreSQL is told, and ours: a table that nobody may read as a whole under a lock.
MANY = "UPDATE pg_class SET reltuples = 60000 WHERE oid = 't'::regclass"
OF_NAME = {example.name: example for example in TYPE_CHANGES}


@pytest.fixture
def open_project(postgres: Postgres, tmp_path: Path) -> Iterator[Callable[[str], Project]]:
    """A project whose first revision has made the tables of an example; each call another one."""
    with ExitStack() as lifetime:
        numbers = iter(range(1000))

        def make(name: str) -> Project:
            example = OF_NAME[name]

            def build(url: str) -> None:
                folder = tmp_path / f"template-{name}"
                upgrade(project_of(example, folder=folder, url=url).config, "r1")

            template = postgres.template(f"copied_{name}", build)
            url = lifetime.enter_context(postgres.database(template=template))
            return project_of(example, folder=tmp_path / f"project{next(numbers)}", url=url)

        yield make


def stop_after(steps: int) -> tuple[Callable[[Event], None], Callable[[], bool]]:
    """A report and a question that together stop a run after so many steps."""
    done: list[Event] = []

    def report(event: Event) -> None:
        if isinstance(event, StepDone):
            done.append(event)

    return report, lambda: len(done) >= steps


# The longest plan, that of serial_key, has 34 steps; behind the last one there is nothing to give up.
@pytest.mark.parametrize("steps", each([7, *range(1, 7), *range(8, 40)], here=1))
@pytest.mark.parametrize("name", ["serial_key", "expression_index"])
def test_abandon_gives_the_table_back(
    name: str, steps: int, open_project: Callable[[str], Project]
) -> None:
    """Whatever step it has reached: the schema is as it was, the rows are, and the next run can begin again."""
    project = open_project(name)
    before, rows = schema_dump(project.database), all_rows(project.database)
    report, should_stop = stop_after(steps)
    try:
        upgrade(project.config, "head", report=report, should_stop=should_stop)
    except StoppedBetweenSteps:
        abandon(project.config)
        assert schema_dump(project.database) == before
        assert all_rows(project.database) == rows
    else:
        assert steps > 7


def test_a_run_after_abandon(open_project: Callable[[str], Project]) -> None:
    """Begins at the beginning and ends as it should."""
    project = open_project("serial_key")
    report, should_stop = stop_after(9)
    with pytest.raises(StoppedBetweenSteps):
        upgrade(project.config, "head", report=report, should_stop=should_stop)
    abandon(project.config)
    upgrade(project.config, "head")
    assert kind_of_key(project) == "bigint"


class AtStep:
    """A report that does something when a step begins, or in the middle of the rows."""

    def __init__(self, beginning: str, action: Callable[[], None]) -> None:
        self.beginning, self.action, self.done = beginning, action, False

    def __call__(self, event: Event) -> None:
        is_it = isinstance(event, StepStarted) and event.step.startswith(self.beginning)
        if is_it and not self.done:
            self.done = True
            self.action()


LONG = "varchar_data_in_the_way"
LATER = """
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER "~~~" BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()
"""


def test_rows_in_the_way_before(open_project: Callable[[str], Project]) -> None:
    """Named with their keys, and nothing has happened."""
    project = open_project(LONG)
    before = schema_dump(project.database)
    with pytest.raises(DataInTheWay) as raised:
        upgrade(project.config, "head")
    assert raised.value.count == 22
    assert raised.value.examples[0] == "(21, value too long for type character varying(20))"
    assert schema_dump(project.database) == before


def test_one_row_in_the_way_is_called_a_row(open_project: Callable[[str], Project]) -> None:
    """Whatever looks for rows, the error has the singular for one."""
    project = open_project(LONG)
    project.query("UPDATE t SET c = left(c, 20) WHERE id <> 21")
    with pytest.raises(DataInTheWay, match="In the way: 1 row that has no value of type"):
        upgrade(project.config, "head")


def test_rows_in_the_way_written_meanwhile(open_project: Callable[[str], Project]) -> None:
    """The user wins while rows are copied; then the rows are named, mended, and the run goes on to its end."""
    project = open_project(LONG)
    project.query("UPDATE t SET c = left(c, 20)")

    def write() -> None:
        project.query("UPDATE t SET c = repeat('y', 25) WHERE id IN (3, 5)")
        project.query("INSERT INTO t VALUES (9001, repeat('z', 30))")

    with pytest.raises(DataInTheWay) as raised:
        upgrade(project.config, "head", report=AtStep("UPDATE ONLY public.t", write))
    assert raised.value.count == 3
    assert {row.split(",")[0] for row in raised.value.examples} == {"(3", "(5", "(9001"}
    with (
        psycopg.connect(project.database) as user,
        pytest.raises(psycopg.errors.StringDataRightTruncation),
    ):
        user.execute(
            "INSERT INTO t VALUES (9002, repeat('z', 30))"
        )  # PostgreSQL's own error, from now on
    project.query("UPDATE t SET c = left(c, 20)")
    upgrade(project.config, "head")
    assert project.query("SELECT count(*), max(length(c)) FROM t") == [(501, 20)]


@pytest.mark.parametrize(
    "disturbance",
    [
        'ALTER TABLE t DISABLE TRIGGER "~~holdfast u"; ALTER TABLE t ENABLE ALWAYS TRIGGER "~~holdfast u"',
        'DROP TRIGGER "~~holdfast i" ON t',
        LATER,
    ],
    ids=["switched off and on", "dropped", "a later trigger"],
)
def test_triggers_touched_by_others(
    disturbance: str, open_project: Callable[[str], Project]
) -> None:
    """Whoever switches off what keeps the copy equal, for however short: the copy never takes its place."""
    project = open_project("varchar")
    with pytest.raises(CopyDisturbed):
        upgrade(
            project.config,
            "head",
            report=AtStep("put the new c", lambda: project.query(disturbance) and None),
        )


def test_rows_written_in_a_session_with_other_settings(
    open_project: Callable[[str], Project],
) -> None:
    """A conversion that depends on a setting, with or without USING: each row gets the value of the revision.

    PostgreSQL looks for mutable functions in a generated column before it adds the assignment's own cast.
    """
    project = open_project("timestamp_to_timestamptz")

    def write() -> None:
        with psycopg.connect(project.database, autocommit=True) as user:
            user.execute("SET TimeZone = 'Asia/Tokyo'")
            user.execute("INSERT INTO t VALUES (9001, '2025-01-01 12:00')")
            user.execute("UPDATE t SET c = '2025-01-01 12:00' WHERE id = 7")

    upgrade(project.config, "head", report=AtStep("UPDATE ONLY public.t", write))
    written = "SELECT (c AT TIME ZONE 'Europe/Paris')::text FROM t WHERE id IN (7, 9001)"
    assert project.query(written) == [("2025-01-01 12:00:00",)] * 2


@contextmanager
def row_held_by_a_user(
    open_project: Callable[[str], Project], *, then: Callable[[Event], None]
) -> Iterator[tuple[Project, psycopg.Connection, Callable[[Event], None]]]:
    """A project, a user, and a report: when the copying has begun the user holds a row in the middle of the table."""
    project, held = open_project("json_to_jsonb"), []
    project.query(
        "INSERT INTO t SELECT n, json_build_object('a', n) FROM generate_series(1000, 20000) n"
    )
    with psycopg.connect(project.database) as user:

        def report(event: Event) -> None:
            if isinstance(event, BackfillMoved) and not held:
                held.append(user.execute("SELECT 1 FROM t WHERE id = 12000 FOR UPDATE"))
            then(event)

        yield project, user, report


COPIED = "SELECT id FROM t WHERE id IN (11000, 12000, 20000) AND c_holdfast IS NOT NULL"
ALL_ROWS = "SELECT count(*), count(c) FROM t"


def test_a_row_that_is_held_holds_up_no_other_block(
    open_project: Callable[[str], Project],
) -> None:
    """Who holds one row, in whatever block, for however long, is waited for only when all others are copied."""
    copied = []

    def then(event: Event) -> None:
        if isinstance(event, LockBusy):
            copied.extend(project.query(COPIED))
            user.rollback()

    with row_held_by_a_user(open_project, then=then) as (project, user, report):
        upgrade(project.config, "head", report=report)
    assert (20_000,) in copied
    assert (12_000,) not in copied
    assert project.query(ALL_ROWS) == [(19_501, 19_501)]


def test_blocks_that_were_left_are_copied_by_the_next_run(
    open_project: Callable[[str], Project],
) -> None:
    """A run that ends, in whatever way, before it came back to the blocks it had left: the next one copies them."""
    first_pass_is_over = Signal()

    def then(event: Event) -> None:
        if isinstance(event, BackfillMoved) and (20_000,) in project.query(COPIED):
            first_pass_is_over.set()

    stop = first_pass_is_over.is_set
    with row_held_by_a_user(open_project, then=then) as (project, user, report):
        with pytest.raises(StoppedBetweenSteps):
            upgrade(project.config, "head", report=report, should_stop=stop)
        user.rollback()
        assert (12_000,) not in project.query(COPIED)
        upgrade(project.config, "head")
    assert project.query(ALL_ROWS) == [(19_501, 19_501)]


def test_rows_moved_into_other_blocks_meanwhile(open_project: Callable[[str], Project]) -> None:
    """VACUUM FULL puts rows into blocks that are done already: the copying begins again."""
    project = open_project("json_to_jsonb")
    project.query(
        "INSERT INTO t SELECT n, json_build_object('a', n) FROM generate_series(1000, 30000) n"
    )
    moved = []

    def move(event: Event) -> None:
        if isinstance(event, BackfillMoved) and not moved:
            moved.append(event)
            with psycopg.connect(project.database, autocommit=True) as user:
                user.execute("DELETE FROM t WHERE id < 500")
                user.execute("VACUUM FULL t")

    upgrade(project.config, "head", report=move)
    assert moved
    assert project.query("SELECT count(*), count(c) FROM t") == [(29002, 29002)]


TOGETHER = {
    "two columns": (
        "SELECT 1",
        "op.alter_column('t', 'a', type_=sa.BigInteger)\nop.alter_column('t', 'b', type_=sa.String(20))",
    ),
    "view": (
        "CREATE VIEW v AS SELECT a FROM t; GRANT SELECT ON v TO PUBLIC",
        (
            "op.execute('DROP VIEW v')\nop.alter_column('t', 'a', type_=sa.BigInteger)\n"
            "op.execute('CREATE VIEW v AS SELECT a FROM t')\nop.execute('GRANT SELECT ON v TO PUBLIC')"
        ),
    ),
    "view, with a look at the catalog": (
        "CREATE VIEW v AS SELECT a FROM t",
        (
            "op.execute('DROP VIEW v')\nsa.inspect(op.get_bind()).get_columns('t')\n"
            "op.alter_column('t', 'a', type_=sa.BigInteger)\n"
            "op.execute('CREATE VIEW v AS SELECT a FROM t')"
        ),
    ),
    "view, with a look at rows": (
        "CREATE VIEW v AS SELECT a FROM t",
        (
            "op.execute('DROP VIEW v')\n"
            "op.get_bind().execute(sa.text('SELECT max(a) FROM t')).scalar()\n"
            "op.alter_column('t', 'a', type_=sa.BigInteger)\n"
            "op.execute('CREATE VIEW v AS SELECT a FROM t')"
        ),
    ),
    "policy": (
        "CREATE POLICY p ON t USING (a > 0); ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        (
            "op.execute('DROP POLICY p ON t')\nop.alter_column('t', 'a', type_=sa.BigInteger)\n"
            "op.execute('CREATE POLICY p ON t USING (a > 0)')"
        ),
    ),
    "trigger": (
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
            " CREATE TRIGGER g BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION f()"
        ),
        (
            "op.execute('DROP TRIGGER g ON t')\nop.alter_column('t', 'a', type_=sa.BigInteger)\n"
            "op.execute('CREATE TRIGGER g BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION f()')"
        ),
    ),
    "default": (
        (
            "CREATE TYPE e AS ENUM ('x', 'y'); UPDATE t SET b = 'x'; ALTER TABLE t ALTER b SET DEFAULT 'x',"
            " ALTER b SET NOT NULL"
        ),
        (
            "op.alter_column('t', 'b', server_default=None)\n"
            "op.execute('ALTER TABLE t ALTER b TYPE e USING b::e')\n"
            "op.alter_column('t', 'b', server_default='y')"
        ),
    ),
}
# What is there of each of these objects, and whether a row can be inserted without the column.
THERE = """
SELECT (SELECT count(*) FROM pg_class WHERE relname = 'v')
  + (SELECT count(*) FROM pg_policy) + (SELECT count(*) FROM pg_trigger WHERE tgname = 'g')
  + (SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'b' AND atthasdef)
"""


@pytest.mark.parametrize("case", named(TOGETHER, here=["view, with a look at rows"]))
def test_what_belongs_to_a_type_change(case: str, postgres: Postgres, tmp_path: Path) -> None:
    """What its author drops before a type change and creates after it is never missing; a table is copied once."""
    before, change = TOGETHER[case]
    with ExitStack() as lifetime:
        both = side_by_side(
            postgres,
            tmp_path,
            before="CREATE TABLE t (id int PRIMARY KEY, a int, b text); INSERT INTO t SELECT n, n, 'b' FROM"
            f" generate_series(1, 3000) AS n; {MANY}; {before}",
            lifetime=lifetime,
        )
        both.revision(change)
        command.upgrade(both.plain.config, "head")
        expected = both.online.query(THERE)
        copies: list[str] = []

        def look(event: Event) -> None:
            if isinstance(event, StepStarted):
                assert both.online.query(THERE) == expected, event.step
                copies.extend([event.step] if event.step.startswith("UPDATE ONLY") else [])

        upgrade(both.online.config, "head", report=look)
        assert len(copies) == 1
        dumps = [in_any_order(schema_dump(each.database)) for each in (both.online, both.plain)]
        assert dumps[0] == dumps[1]


ENUMS = {
    "renamed away": (
        "op.execute('ALTER TABLE w DROP COLUMN b')\n"
        "op.execute('ALTER TYPE e RENAME TO e_old')\nop.execute(\"CREATE TYPE e AS ENUM ('x', 'z')\")\n"
        "op.execute('ALTER TABLE t ALTER b DROP DEFAULT')\n"
        "op.execute('ALTER TABLE t ALTER b TYPE e USING b::text::e')\nop.execute('DROP TYPE e_old')"
    ),
    "in two tables, with defaults": (
        "op.alter_column('t', 'b', server_default=None)\n"
        "op.alter_column('w', 'b', server_default=None)\n"
        "op.execute('ALTER TYPE e RENAME TO e_old')\n"
        "sa.Enum('x', 'z', name='e').create(op.get_bind(), checkfirst=False)\n"
        "op.execute('ALTER TABLE t ALTER COLUMN b TYPE e USING b::text::e')\n"
        "op.execute('ALTER TABLE w ALTER COLUMN b TYPE e USING b::text::e')\n"
        "op.alter_column('t', 'b', server_default=sa.text(\"'x'::e\"))\n"
        "op.alter_column('w', 'b', server_default='z')\n"
        "op.execute('DROP TYPE e_old')"
    ),
    "under another name first": (
        "op.execute(\"CREATE TYPE e_new AS ENUM ('x', 'z')\")\n"
        "op.execute('ALTER TABLE t ALTER b DROP DEFAULT, ALTER b TYPE e_new USING b::text::e_new')\n"
        "op.execute('ALTER TABLE w ALTER b DROP DEFAULT, ALTER b TYPE e_new USING b::text::e_new')\n"
        "op.execute('DROP TYPE e')\nop.execute('ALTER TYPE e_new RENAME TO e')"
    ),
    "by way of a text": (
        "for table in ('t', 'w'):\n"
        "    op.execute(f'ALTER TABLE {table} ALTER b DROP DEFAULT')\n"
        "    op.alter_column(table, 'b', type_=sa.String(255), postgresql_using='b::text')\n"
        "op.execute('DROP TYPE e')\nop.execute(\"CREATE TYPE e AS ENUM ('x', 'z')\")\n"
        "op.execute(\"COMMENT ON TYPE e IS 'new'\")\n"
        "for table in ('t', 'w'):\n"
        "    op.execute(f\"ALTER TABLE {table} ALTER b TYPE e USING replace(b, 'y', 'z')::e\")"
    ),
    "by way of another type": (
        "op.execute(\"CREATE TYPE _e AS ENUM ('x', 'y', 'z')\")\n"
        "op.execute('ALTER TABLE w DROP COLUMN b')\n"
        "op.execute('ALTER TABLE t ALTER b DROP DEFAULT, ALTER b TYPE _e USING b::text::_e')\n"
        "op.execute('DROP TYPE e')\nop.execute(\"CREATE TYPE e AS ENUM ('x', 'z')\")\n"
        "op.execute('ALTER TABLE t ALTER b TYPE e USING b::text::e')\nop.execute('DROP TYPE _e')"
    ),
    "looked for first": (
        "op.alter_column('t', 'b', server_default=None)\n"
        "op.execute('ALTER TABLE w DROP COLUMN b')\n"
        "op.execute('ALTER TYPE e RENAME TO e_old')\n"
        "sa.Enum('x', 'z', name='e').create(op.get_bind(), checkfirst=True)\n"
        "op.execute('ALTER TABLE t ALTER COLUMN b TYPE e USING b::text::e')\n"
        "sa.Enum(name='e_old').drop(op.get_bind(), checkfirst=True)"
    ),
}
ODD = """
CREATE SCHEMA app; CREATE TYPE app."My kind" AS ENUM ('x', 'y');
CREATE TABLE app."T t" (id int PRIMARY KEY, "c c" app."My kind"[] NOT NULL DEFAULT '{}');
INSERT INTO app."T t" SELECT n, '{x}' FROM generate_series(1, 300) n;
COMMENT ON COLUMN app."T t"."c c" IS 'cc'
"""
ODD_CHANGE = (
    'ALTER TYPE app."My kind" RENAME TO "My old"',
    """CREATE TYPE app."My kind" AS ENUM ('x', 'z')""",
    """COMMENT ON TYPE app."My kind" IS 'new'""",
    'GRANT USAGE ON TYPE app."My kind" TO pg_monitor',
    'ALTER TABLE app."T t" ALTER "c c" DROP DEFAULT',
    'ALTER TABLE app."T t" ALTER "c c" TYPE app."My kind"[] USING "c c"::text[]::app."My kind"[]',
    """ALTER TABLE app."T t" ALTER "c c" SET DEFAULT '{}'""",
    'DROP TYPE app."My old"',
)


def test_an_enum_of_any_name(postgres: Postgres, tmp_path: Path) -> None:
    """Whatever it is called, wherever it is, of an array, with a comment and a privilege: casts work all the time."""
    with ExitStack() as lifetime:
        both = side_by_side(postgres, tmp_path, before=ODD, lifetime=lifetime)
        both.revision("\n".join(f"op.execute({sql!r})" for sql in ODD_CHANGE))
        command.upgrade(both.plain.config, "head")
        user = lifetime.enter_context(psycopg.connect(both.online.database, autocommit=True))

        def look(_: Event) -> None:
            user.execute("""SELECT FROM app."T t" WHERE "c c" @> ARRAY['x'::app."My kind"]""")

        upgrade(both.online.config, "head", report=look)
        dumps = [in_any_order(schema_dump(each.database)) for each in (both.online, both.plain)]
        assert dumps[0] == dumps[1]
        assert all_rows(both.online.database) == all_rows(both.plain.database)


AN_ENUM = """
CREATE TYPE e AS ENUM ('x', 'y');
CREATE TABLE t (id int PRIMARY KEY, b e NOT NULL DEFAULT 'x', c e[]);
CREATE INDEX t_b ON t (b);
CREATE TABLE w (id int PRIMARY KEY, b e DEFAULT 'x');
INSERT INTO t SELECT n, 'x', '{x}' FROM generate_series(1, 3000) AS n;
INSERT INTO w SELECT n FROM generate_series(1, 200) AS n;
ALTER TABLE t DROP COLUMN c;
"""


@pytest.mark.parametrize("case", named(ENUMS, here=["renamed away"]))
def test_an_enum_is_made_again(case: str, postgres: Postgres, tmp_path: Path) -> None:
    """Whichever way a type gets new values under its old name: what users cast to that name works after every step."""
    with ExitStack() as lifetime:
        both = side_by_side(postgres, tmp_path, before=AN_ENUM + MANY, lifetime=lifetime)
        both.revision(ENUMS[case])
        command.upgrade(both.plain.config, "head")
        user = lifetime.enter_context(psycopg.connect(both.online.database, autocommit=True))
        copies: list[str] = []

        def look(event: Event) -> None:
            if isinstance(event, StepStarted):
                user.execute("SELECT count(*) FROM t WHERE b = 'x'::e AND id < 10")
                user.execute("UPDATE t SET b = 'x'::e WHERE id = 5")
                copies.extend([event.step] if event.step.startswith("UPDATE ONLY") else [])

        upgrade(both.online.config, "head", report=look)
        assert any("public.t " in step for step in copies), copies
        dumps = [in_any_order(schema_dump(each.database)) for each in (both.online, both.plain)]
        assert dumps[0] == dumps[1]
        assert all_rows(both.online.database) == all_rows(both.plain.database)


SHOP = """
CREATE TABLE t (id serial PRIMARY KEY, n int NOT NULL, note text);
CREATE INDEX t_n ON t (n);
CREATE TABLE child (id serial PRIMARY KEY, t_id int NOT NULL REFERENCES t ON DELETE CASCADE);
INSERT INTO t (n) SELECT n FROM generate_series(1, 8000) AS n;
INSERT INTO child (t_id) SELECT n FROM generate_series(1, 8000) AS n
"""
INSERT = "INSERT INTO t (n, note) VALUES (%s, 'new') RETURNING id"
UPSERT = "INSERT INTO t (id, n) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET n = excluded.n"


class Writer(Thread):
    """One session that writes rows of its own all the time, and remembers what it has written."""

    def __init__(self, url: str, *, number: int, ended: Signal) -> None:
        super().__init__(daemon=True)
        self.url, self.number, self.ended = url, number, ended
        self.rows: dict[int, int] = {}
        self.gone: set[int] = set()
        self.errors: list[str] = []
        self.requests = 0

    def run(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True, prepare_threshold=None) as connection:
                while not self.ended.wait(0.002):
                    self.request(connection)
        except psycopg.Error as error:
            self.errors.append(f"{error.sqlstate} {error}")

    def request(self, connection: psycopg.Connection) -> None:
        """An insert with a child, an update, an upsert, a delete, in turn."""
        self.requests += 1
        turn = self.requests
        old = 4 * (turn % 2000) + self.number + 1  # a row that was there, and no other session's
        match turn % 4:
            case 0:
                with connection.transaction():
                    (new,) = connection.execute(INSERT, [turn]).fetchone() or (0,)
                    connection.execute("INSERT INTO child (t_id) VALUES (%s)", [new])
                self.rows[new] = turn
            case 1 if old not in self.gone:
                connection.execute("UPDATE t SET n = %s WHERE id = %s", [turn, old])
                self.rows[old] = turn
            case 2:
                connection.execute(UPSERT, [old, turn])
                self.rows[old] = turn
                self.gone.discard(old)
            case _:
                connection.execute("DELETE FROM t WHERE id = %s", [old])
                self.rows.pop(old, None)
                self.gone.add(old)


def test_under_traffic(project: Project) -> None:
    """Every row that users write while a key with a foreign key and an indexed column change their types is there."""
    project.revision(f"op.execute({SHOP!r})")
    upgrade(project.config, "head")
    project.revision(
        "op.alter_column('t', 'id', type_=sa.BigInteger)\n"
        "op.alter_column('t', 'n', type_=sa.BigInteger)\n"
        "op.alter_column('child', 't_id', type_=sa.BigInteger)"
    )
    ended = Signal()
    writers = [Writer(project.database, number=number, ended=ended) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        upgrade(project.config, "head")
    finally:
        ended.set()
        for writer in writers:
            writer.join(60)
    assert [error for writer in writers for error in writer.errors] == []
    found = dict(project.query("SELECT id, n FROM t"))  # type: ignore[arg-type]  # two columns
    for writer in writers:
        assert writer.requests > 20
        assert {row: found.get(row) for row in writer.rows} == writer.rows
        assert not writer.gone & found.keys()
    [(orphans, types)] = project.query(
        "SELECT (SELECT count(*) FROM child WHERE t_id NOT IN (SELECT id FROM t)),"
        " (SELECT string_agg(DISTINCT atttypid::regtype::text, ' ') FROM pg_attribute"
        "  WHERE attrelid IN ('t'::regclass, 'child'::regclass) AND attname IN ('n', 't_id'))"
    )
    assert (orphans, types) == (0, "bigint")


def half_way(project: Project) -> None:
    """Stopped when the copy is filled and its index is being built."""
    report, should_stop = stop_after(7)
    with pytest.raises(StoppedBetweenSteps):
        upgrade(project.config, "head", report=report, should_stop=should_stop)


def test_plain_alembic_in_the_middle(open_project: Callable[[str], Project]) -> None:
    """It fails at the statement and changes nothing; a stamp is no way around it; then our run goes on."""
    project = open_project("serial_key")
    half_way(project)
    before = schema_dump(project.database)
    with pytest.raises(DBAPIError):
        command.upgrade(project.config, "head")
    assert schema_dump(project.database) == before
    command.stamp(project.config, "head")
    assert schema_dump(project.database) == before
    command.stamp(project.config, "r1")
    upgrade(project.config, "head")
    assert kind_of_key(project) == "bigint"


def test_leaving_in_the_middle(open_project: Callable[[str], Project]) -> None:
    """The table is as it was, everything of ours is gone, and plain Alembic goes on."""
    project = open_project("serial_key")
    before = schema_dump(project.database)
    half_way(project)
    left = leave(project.config)
    assert [each.revision for each in left.given_up] == ["r2"]
    assert schema_dump(project.database) == before
    assert project.query("SELECT to_regnamespace('holdfast')") == [(None,)]
    command.upgrade(project.config, "head")
    assert kind_of_key(project) == "bigint"


def kind_of_key(project: Project) -> object:
    """The type of t.id."""
    [(kind,)] = project.query(
        "SELECT atttypid::regtype::text FROM pg_attribute"
        " WHERE attrelid = 't'::regclass AND attname = 'id'"
    )
    return kind
