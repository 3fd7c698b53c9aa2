"""What an author puts around something to be seen as one is seen as one, whatever the object, the order, the mode."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from author_revisions import BEFORE
from everywhere import each, named
from side_by_side import SideBySide, side_by_side
from watching import looking

from holdfast.errors.statement import TornApart
from holdfast.execute.progress import StatementPlanned
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres

MORE = """
CREATE VIEW v AS SELECT id, a FROM t;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.b := ''noted''; RETURN NEW; END';
CREATE TRIGGER noted BEFORE UPDATE ON w FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE docs (id int PRIMARY KEY, tenant int, body text);
INSERT INTO docs SELECT n, n % 3, 'x' FROM generate_series(1, 200) AS n;
CREATE POLICY own ON docs USING (tenant = current_setting('app.t', true)::int);
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE TABLE open_docs (id int PRIMARY KEY, tenant int);
CREATE TABLE keyed (id int PRIMARY KEY, email text CONSTRAINT email_is_unique UNIQUE, org int, total int
  CONSTRAINT few CHECK (total < 100), t int CONSTRAINT of_t REFERENCES t);
INSERT INTO keyed SELECT n, 'e' || n, n % 7, n % 100, n FROM generate_series(1, 300) AS n;
CREATE INDEX keyed_org ON keyed (org);
ALTER TABLE keyed ALTER total SET DEFAULT 7, ALTER org SET NOT NULL;
CREATE TABLE keyed_new (id int PRIMARY KEY, email text);
GRANT SELECT ON docs, v TO pg_monitor;
"""
INDEX = "op.create_index('queued', 't', ['a'])\n"
UNIQUE = """
SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = 'keyed'::regclass AND indisunique AND indisvalid
AND NOT indisprimary)
"""
CHECKED = """
SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'keyed'::regclass AND contype = 'c')
"""
REFERENCES = """
SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'keyed'::regclass AND contype = 'f')
"""
PROTECTED = "SELECT relrowsecurity FROM pg_class WHERE oid = 'docs'::regclass"
COLUMN = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'keyed'::regclass AND attname = 'total')
"""
REQUIRED = """
SELECT attnotnull FROM pg_attribute WHERE attrelid = 'keyed'::regclass AND attname = 'org'
"""
ALLOWED = "-- holdfast: allow nobody uses the old name until 2999-12-31"
READ = "op.get_bind().execute(sa.text('SELECT count(*) FROM t')).scalar_one()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A revision, one line a statement, and what every look must find true."""

    statements: tuple[str, ...]
    look: str

    def source(self) -> str:
        """Its function; what is no call is SQL."""
        lines = (
            line if line.startswith(("op.", "with ")) else f"op.execute({line!r})"
            for line in self.statements
        )
        return INDEX + "\n".join(lines)


def case(look: str, *statements: str) -> Case:
    return Case(statements=statements, look=look)


VIEW = "SELECT count(*) >= 0 FROM v"
CASES = {
    "view": case(VIEW, "DROP VIEW v", "CREATE VIEW v AS SELECT id, a, b FROM t"),
    "view and its privileges": case(
        "SELECT has_table_privilege('pg_monitor', 'v', 'SELECT')",
        "DROP VIEW v",
        "op.create_index('between', 'w', ['id'])",
        "CREATE VIEW v AS SELECT id, b FROM t",
        "GRANT SELECT ON v TO pg_monitor",
    ),
    "view around a build": case(
        VIEW, "DROP VIEW v", "op.create_index('i', 't', ['b'])", "CREATE VIEW v AS SELECT id FROM t"
    ),
    "view around a read": case(
        VIEW,
        "DROP VIEW v",
        READ,
        "op.create_index('i', 't', ['b'])",
        "CREATE VIEW v AS SELECT b FROM t",
    ),
    "view that becomes a table": case(
        VIEW, "DROP VIEW v", "CREATE TABLE v (id int, a int)", "op.create_index('i', 't', ['b'])"
    ),
    "function": case(
        "SELECT to_regprocedure('f()') IS NOT NULL",
        "DROP FUNCTION f()",
        "op.create_index('i', 't', ['b'])",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    ),
    "trigger switched off": case(
        "SELECT tgenabled = 'O' FROM pg_trigger WHERE tgname = 'noted'",
        "ALTER TABLE w DISABLE TRIGGER noted",
        "UPDATE w SET b = 'y'",
        "ALTER TABLE w ENABLE TRIGGER noted",
    ),
    "all triggers switched off": case(
        "SELECT tgenabled = 'O' FROM pg_trigger WHERE tgname = 'noted'",
        "ALTER TABLE w DISABLE TRIGGER ALL",
        "INSERT INTO w VALUES (77, 'y')",
        "DELETE FROM w WHERE id < 5",
        "ALTER TABLE w ENABLE TRIGGER ALL",
    ),
    "trigger switched off around a read": case(
        "SELECT tgenabled = 'O' FROM pg_trigger WHERE tgname = 'noted'",
        "ALTER TABLE w DISABLE TRIGGER noted",
        READ,
        "UPDATE w SET b = 'y'",
        "ALTER TABLE w ENABLE TRIGGER noted",
    ),
    "trigger replaced": case(
        "SELECT count(*) = 1 FROM pg_trigger WHERE tgrelid = 'w'::regclass AND NOT tgisinternal",
        "DROP TRIGGER noted ON w",
        "UPDATE w SET b = 'z'",
        "CREATE TRIGGER noted AFTER UPDATE ON w FOR EACH ROW EXECUTE FUNCTION note()",
    ),
    "row security switched off": case(
        PROTECTED,
        "ALTER TABLE docs DISABLE ROW LEVEL SECURITY",
        "UPDATE docs SET body = 'y' WHERE body = 'x'",
        "ALTER TABLE docs ENABLE ROW LEVEL SECURITY",
    ),
    "row security without its policy": case(
        "SELECT NOT relrowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)"
        " FROM pg_class c WHERE oid = 'open_docs'::regclass",
        "ALTER TABLE open_docs ENABLE ROW LEVEL SECURITY",
        "op.create_index('i', 'open_docs', ['tenant'])",
        "CREATE POLICY own ON open_docs USING (tenant = 1)",
    ),
    "policy": case(
        "SELECT EXISTS (SELECT FROM pg_policy WHERE polrelid = 'docs'::regclass)",
        "DROP POLICY own ON docs",
        "op.create_index('i', 'docs', ['tenant'])",
        "CREATE POLICY other ON docs USING (tenant = 1)",
    ),
    "privilege": case(
        "SELECT has_table_privilege('pg_monitor', 'docs', 'SELECT')",
        "REVOKE ALL ON docs FROM pg_monitor",
        "op.create_index('i', 'docs', ['tenant'])",
        "GRANT SELECT, INSERT ON docs TO pg_monitor",
    ),
    "a rule that is there for a while": case(
        "SELECT NOT EXISTS (SELECT FROM pg_rewrite WHERE rulename = 'swallow')",
        "CREATE RULE swallow AS ON INSERT TO w DO INSTEAD NOTHING",
        "op.create_index('i', 'docs', ['tenant'])",
        "UPDATE w SET b = 'y'",
        "DROP RULE swallow ON w",
    ),
    "unique constraint": case(
        UNIQUE,
        "op.drop_constraint('email_is_unique', 'keyed', type_='unique')",
        "op.create_unique_constraint('org_and_email', 'keyed', ['org', 'email'])",
    ),
    "unique constraint of the same name": case(
        UNIQUE,
        "op.drop_constraint('email_is_unique', 'keyed', type_='unique')",
        "op.create_unique_constraint('email_is_unique', 'keyed', ['email', 'org'])",
    ),
    "unique constraint in one statement": case(
        UNIQUE,
        "ALTER TABLE keyed DROP CONSTRAINT email_is_unique, ADD CONSTRAINT email_is_unique UNIQUE (org, email)",
    ),
    "unique constraint that becomes an index": case(
        UNIQUE,
        "op.drop_constraint('email_is_unique', 'keyed', type_='unique')",
        "CREATE UNIQUE INDEX email_is_unique ON keyed (email) INCLUDE (org)",
    ),
    "index": case(
        "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = 'keyed'::regclass AND indisvalid AND 3 = ANY (indkey))",
        "op.drop_index('keyed_org')",
        "op.create_index('keyed_org', 'keyed', ['org', 'email'])",
    ),
    "check": case(
        CHECKED,
        "op.drop_constraint('few', 'keyed', type_='check')",
        "op.create_check_constraint('few', 'keyed', 'total < 1000')",
    ),
    "check around a write": case(
        CHECKED,
        "op.drop_constraint('few', 'keyed', type_='check')",
        "UPDATE keyed SET total = total + 100",
        "op.create_check_constraint('few', 'keyed', 'total >= 100')",
    ),
    "foreign key": case(
        REFERENCES,
        "op.drop_constraint('of_t', 'keyed', type_='foreignkey')",
        "op.create_foreign_key('of_t', 'keyed', 't', ['t'], ['id'], ondelete='CASCADE')",
    ),
    "default around a build": case(
        "SELECT count(*) = 1 FROM pg_attrdef WHERE adrelid = 'keyed'::regclass",
        "ALTER TABLE keyed ALTER total DROP DEFAULT",
        "op.create_index('keyed_total', 'keyed', ['total'])",
        "ALTER TABLE keyed ALTER total SET DEFAULT 8",
    ),
    "column that may be NULL around a build": case(
        REQUIRED,
        "op.alter_column('keyed', 'org', nullable=True)",
        "op.create_index('i', 'keyed', ['org'])",
        "op.alter_column('keyed', 'org', nullable=False)",
    ),
    "privilege that is lent": case(
        "SELECT NOT has_table_privilege('pg_monitor', 'w', 'SELECT')",
        "GRANT SELECT, INSERT ON w TO pg_monitor",
        "op.create_index('i', 'docs', ['tenant'])",
        "UPDATE w SET b = 'y'",
        "REVOKE ALL ON w FROM pg_monitor",
    ),
    "column by another one": case(
        COLUMN,
        "ALTER TABLE keyed ADD COLUMN big bigint",
        "UPDATE keyed SET big = total",
        "ALTER TABLE keyed DROP COLUMN total",
        "ALTER TABLE keyed RENAME big TO total",
    ),
    "table by another one": case(
        "SELECT count(*) >= 0 FROM keyed",
        f"ALTER TABLE keyed RENAME TO keyed_old {ALLOWED}",
        f"ALTER TABLE keyed_new RENAME TO keyed {ALLOWED}",
    ),
}


@pytest.fixture
def both(postgres: Postgres, tmp_path: Path) -> Iterator[SideBySide]:
    """Two databases in use."""
    with ExitStack() as lifetime:
        yield side_by_side(postgres, tmp_path, before=BEFORE + MORE, lifetime=lifetime)


HERE = (
    "check around a write",
    "policy",
    "trigger switched off around a read",
    "unique constraint that becomes an index",
    "view and its privileges",
)


@pytest.mark.parametrize("name", named(CASES, here=HERE))
def test_no_look_finds_it_missing(both: SideBySide, name: str) -> None:
    """Neither before, nor between, nor after; the end is plain Alembic's."""
    both.revision(CASES[name].source())
    with looking(both.online.database, CASES[name].look) as wrong:
        upgrade(both.online.config, "head")
    assert wrong == []
    both.upgrade()


LARGE = {
    "trigger": "UPDATE pg_class SET reltuples = 70000 WHERE oid = 'w'::regclass",
    "rule": "UPDATE pg_class SET reltuples = 70000 WHERE oid = 'w'::regclass",
    "row security": "UPDATE pg_class SET reltuples = 70000 WHERE oid = 'docs'::regclass",
}
WRAPPED = {
    "trigger": (
        "ALTER TABLE w DISABLE TRIGGER noted",
        "UPDATE w SET b = b",
        "ALTER TABLE w ENABLE TRIGGER noted",
    ),
    "row security": (
        "ALTER TABLE docs DISABLE ROW LEVEL SECURITY",
        "UPDATE docs SET body = body",
        "ALTER TABLE docs ENABLE ROW LEVEL SECURITY",
    ),
    "rule": (
        "CREATE RULE swallow AS ON INSERT TO w DO INSTEAD NOTHING",
        "UPDATE w SET b = b",
        "DROP RULE swallow ON w",
    ),
}


@pytest.mark.parametrize("what", each(list(LARGE), here=1))
def test_what_would_last_is_refused_before_anything_has_run(both: SideBySide, what: str) -> None:
    """With the statement that lasts, and the way to write it; an exemption is enough."""
    for project in (both.plain, both.online):
        project.query(LARGE[what])
    off, write, on = WRAPPED[what]
    source = f"{INDEX}op.execute({off!r})\nop.execute({write!r})\nop.execute({on!r})"
    both.revision(source)
    with pytest.raises(TornApart) as raised:
        upgrade(both.online.config, "head")
    assert (raised.value.statement, raised.value.between, raised.value.until) == (off, write, on)
    assert both.online.query("SELECT to_regclass('queued')") == [(None,)]
    assert both.online.query("SELECT * FROM holdfast.unfinished") == []
    file = both.online.file("r2")
    allowed = f"op.execute({off!r})  # holdfast: allow at night until 2999-12-31"
    file.write_text(file.read_text().replace(f"op.execute({off!r})", allowed))
    both.upgrade()


TAKEN = """
CREATE TABLE keyed_org_new (id int);
CREATE SEQUENCE email_is_unique_new;
CREATE VIEW email_is_unique_new1 AS SELECT 1;
CREATE TABLE ids (id int, CONSTRAINT few_interim CHECK (id < 5), other int UNIQUE);
CREATE INDEX ids_other_key_new ON ids (id);
ALTER TABLE keyed ADD CONSTRAINT few_interim CHECK (org < 100);
"""


def test_what_stands_in_for_a_moment_has_a_name_that_is_free(both: SideBySide) -> None:
    """Whatever has the name already that an index has until it takes its place, or a CHECK until the next one."""
    for project in (both.plain, both.online):
        project.query(TAKEN)
    both.revision(
        "op.drop_index('keyed_org')\n"
        "op.create_index('keyed_org', 'keyed', ['org', 'email'])\n"
        "op.drop_constraint('email_is_unique', 'keyed', type_='unique')\n"
        "op.create_unique_constraint('email_is_unique', 'keyed', ['email', 'org'])\n"
        "op.drop_constraint('ids_other_key', 'ids', type_='unique')\n"
        "op.create_unique_constraint(None, 'ids', ['other'])\n"
        "op.drop_constraint('few', 'keyed', type_='check')\n"
        "op.execute('UPDATE keyed SET total = total + 100')\n"
        "op.create_check_constraint('few', 'keyed', 'total >= 100')"
    )
    both.upgrade()


SEVERAL = """
CREATE TABLE people (id int PRIMARY KEY, kind text, secret text, code text,
  CONSTRAINT kinds CHECK (kind IN ('own', 'other')),
  CONSTRAINT own_has CHECK (kind <> 'own' OR secret IS NOT NULL),
  CONSTRAINT other_has_not CHECK (kind = 'own' OR secret IS NULL));
INSERT INTO people SELECT n, 'own', 'x' FROM generate_series(1, 20) AS n;
"""


def test_several_checks_of_the_same_columns_are_replaced_each_by_its_own(both: SideBySide) -> None:
    """Whatever columns CHECKs share, each stands in for the one of its name; nothing stays of what stood in.

    One whose successor needs a column that comes in between has nothing in its place.
    """
    for project in (both.plain, both.online):
        project.query(SEVERAL)
    checks = {
        "kinds": "kind IN ('own', 'other', 'third')",
        "own_has": "kind <> 'own' OR (secret IS NOT NULL AND more IS NULL)",
        "more_has": "kind <> 'third' OR more IS NOT NULL",
        "other_has_not": "kind = 'own' OR secret IS NULL OR code IS NULL",
    }
    dropped = [f"op.drop_constraint({name!r}, 'people')" for name in checks if name != "more_has"]
    added = [
        f"op.create_check_constraint({name!r}, 'people', {sql!r})" for name, sql in checks.items()
    ]
    both.revision(
        "\n".join(
            (
                *dropped,
                "op.add_column('people', sa.Column('more', sa.Text))",
                "op.execute('UPDATE people SET code = secret WHERE id < 5')",
                *added,
            )
        )
    )
    both.upgrade()


BEHIND_A_READ = {
    "a new type": ("ALTER TABLE t ALTER u TYPE bigint", "CREATE VIEW v AS SELECT id, u FROM t"),
    "a new name": (
        "ALTER TABLE t ADD COLUMN c int; ALTER TABLE t RENAME c TO d",
        "CREATE VIEW v AS SELECT id, d FROM t",
    ),
    "a new column": ("ALTER TABLE t ADD COLUMN c int", "CREATE VIEW v AS SELECT id, c FROM t"),
}


@pytest.mark.parametrize("what", each(list(BEHIND_A_READ), here=1))
def test_what_the_second_needs_comes_before_it(both: SideBySide, what: str) -> None:
    """Whatever it is, where the first is executed already and not committed: nothing moves in front of that."""
    changes, view = BEHIND_A_READ[what]
    both.revision(
        f"{INDEX}op.execute('DROP VIEW v')\n{READ}\nop.execute({changes!r})\n"
        f"op.create_index('i', 'w', ['id'])\nop.execute({view!r})\n{READ}"
    )
    both.upgrade()


CATALOG = "sa.inspect(op.get_bind()).get_table_names()"
REPLACED = {
    "unique constraint": (
        UNIQUE,
        "op.drop_constraint('email_is_unique', 'keyed', type_='unique')",
        "op.create_unique_constraint('org_and_email', 'keyed', ['org', 'email'])",
    ),
    "foreign key": (
        REFERENCES,
        "op.drop_constraint('of_t', 'keyed', type_='foreignkey')",
        "op.create_foreign_key('of_t', 'keyed', 't', ['t'], ['id'], ondelete='CASCADE')",
    ),
    "check": (
        CHECKED,
        "op.drop_constraint('few', 'keyed', type_='check')",
        "op.create_check_constraint('few', 'keyed', 'total < 1000')",
    ),
    "NOT NULL": (
        REQUIRED,
        "op.alter_column('keyed', 'org', nullable=True)",
        "op.alter_column('keyed', 'org', nullable=False)",
    ),
}


@pytest.mark.parametrize("begins", each([f"{INDEX}{READ}\n", ""], here=1))
@pytest.mark.parametrize("what", each(list(REPLACED), here=1))
def test_what_lasts_is_done_beside_users_behind_a_look(
    both: SideBySide, what: str, begins: str
) -> None:
    """Whatever takes the place of something: a look at the catalog in between makes nobody wait for it."""
    look, drops, adds = REPLACED[what]
    both.revision(f"{begins}{drops}\n{CATALOG}\n{adds}")
    planned: list[StatementPlanned] = []
    with looking(both.online.database, look) as wrong:
        upgrade(
            both.online.config,
            "head",
            report=lambda event: (
                planned.append(event) if isinstance(event, StatementPlanned) else None
            ),
        )
    assert wrong == []
    assert len(planned[-1].steps) == 2
    assert planned[-1].is_queued
    both.upgrade()


def test_an_index_is_built_beside_users_behind_two_looks(both: SideBySide) -> None:
    """Whatever was executed for a look at the catalog: what lasts is not tied to it by a look at rows."""
    for project in (both.plain, both.online):
        project.query("UPDATE pg_class SET reltuples = 70000 WHERE oid = 't'::regclass")
    both.revision(
        f"op.execute('DROP VIEW v')\n{CATALOG}\nop.create_index('i', 't', ['b'])\n{READ}\n"
        "op.execute('CREATE VIEW v AS SELECT id, b FROM t')"
    )
    planned: list[str] = []
    with looking(both.online.database, VIEW) as wrong:
        upgrade(
            both.online.config,
            "head",
            report=lambda event: (
                planned.extend(step.kind for step in event.steps)
                if isinstance(event, StatementPlanned)
                else None
            ),
        )
    assert wrong == []
    assert "build index" in planned
    both.upgrade()


def test_a_copy_is_none_where_the_rest_is_open(both: SideBySide) -> None:
    """Whatever would be beside users elsewhere: behind a write that cannot be taken back it would last as written."""
    for project in (both.plain, both.online):
        project.query("UPDATE pg_class SET reltuples = 70000 WHERE oid = 't'::regclass")
    both.revision(
        "op.execute('DROP VIEW v')\n"
        "op.get_bind().execute(sa.text('UPDATE w SET b = b WHERE id = 1'))\n"
        "op.execute('ALTER TABLE t ALTER a TYPE bigint')\n"
        "op.execute('CREATE VIEW v AS SELECT id, a FROM t')"
    )
    with pytest.raises(TornApart):
        upgrade(both.online.config, "head")
    assert both.online.query("SELECT count(*) >= 0 FROM v") == [(True,)]
