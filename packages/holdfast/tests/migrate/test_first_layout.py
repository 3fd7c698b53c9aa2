"""A revision that the first layout has left half-way, written as it wrote it, is finished in its own form."""

import json
from pathlib import Path

from alembic import command
from alembic_project import Project

from holdfast.execute.history import checksum_of
from holdfast.migrate.abandon import abandon
from holdfast.migrate.run import upgrade
from holdfast.migrate.status import State, status

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT n, n % 50, 'x' FROM generate_series(1, 3000) AS n;
CREATE TABLE w (id int PRIMARY KEY);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noted BEFORE UPDATE ON w FOR EACH ROW EXECUTE FUNCTION note();
CREATE VIEW v AS SELECT id FROM t;
CREATE SCHEMA holdfast;
COMMENT ON SCHEMA holdfast IS 'holdfast layout 1';
CREATE TABLE holdfast.history (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, revision text NOT NULL,
  description text NOT NULL, direction text NOT NULL, checksum text NOT NULL, outcome text NOT NULL, error text,
  role text NOT NULL DEFAULT current_user, client text NOT NULL, holdfast_version text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz);
CREATE TABLE holdfast.unfinished (revision text PRIMARY KEY, direction text NOT NULL, checksum text NOT NULL,
  function_ended boolean NOT NULL, committed text NOT NULL, new_relations text NOT NULL, unrepeatable text,
  since timestamptz NOT NULL DEFAULT now());
CREATE TABLE holdfast.queue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sql text NOT NULL,
  new_relations text NOT NULL, settings text NOT NULL, queued_on text NOT NULL, call integer NOT NULL, steps text,
  steps_done integer NOT NULL DEFAULT 0, is_started boolean NOT NULL DEFAULT false, captured text, reached text,
  done boolean NOT NULL DEFAULT false);
CREATE TABLE holdfast.calls (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sql text NOT NULL,
  occurrence integer NOT NULL, result text);
"""
NAME = {"schema": "public", "name": "t"}
CHECKED = "ALTER TABLE t ADD CONSTRAINT few CHECK (a < 100)"
FILLED = "UPDATE t SET b = 'y'"
# What the first of them had done: the constraint is there NOT VALID. What is behind it had not been planned.
BEGUN = (
    {
        "kind": "transaction",
        "sql": [
            "ALTER TABLE public.t ADD CONSTRAINT few CHECK (a < 100) NOT VALID",
        ],
        "locks": [{"mode": "ACCESS EXCLUSIVE", "relation": NAME}],
        "captures_constraint_on": None,
        "scans": [],
        "undo": ["ALTER TABLE public.t DROP CONSTRAINT IF EXISTS few"],
    },
    {
        "kind": "validate",
        "table": NAME,
        "constraint": "few",
        "locks": [{"mode": "SHARE UPDATE EXCLUSIVE", "relation": NAME}],
        "scans": [NAME],
        "undo": [],
    },
)
# One statement a row, as each was executed by itself then.
LEFT = (
    FILLED,
    "CREATE INDEX t_a ON t (a)",
    "ALTER TABLE w DISABLE TRIGGER noted",
    "UPDATE w SET id = id",
    "ALTER TABLE w ENABLE TRIGGER noted",
    "DROP VIEW v",
    "CREATE VIEW v AS SELECT id, b FROM t",
)


def half_way(project: Project) -> None:
    """As the first layout left it: killed behind the first step of its first statement."""
    project.revision("pass")
    file = Path(
        project.file(
            project.revision("".join(f"op.execute({sql!r})\n" for sql in (CHECKED, *LEFT)))
        )
    )
    project.query(TABLES)
    command.stamp(project.config, "r1")
    project.query(str(BEGUN[0]["sql"][0]))
    project.query(
        "INSERT INTO holdfast.unfinished (revision, direction, checksum, function_ended, committed, new_relations)"
        f" VALUES ('r2', 'up', '{checksum_of(file)}', true, '[]', '[]')"
    )
    steps = json.dumps(BEGUN).replace("'", "''")
    for call, sql in enumerate((CHECKED, *LEFT), start=1):
        text = sql.replace("'", "''")
        planned = f"'{steps}', 1" if sql == CHECKED else "NULL, 0"
        project.query(
            "INSERT INTO holdfast.queue (sql, new_relations, settings, queued_on, call, steps, steps_done)"
            f" VALUES ('{text}', '[]', '[]', '2026-01-01', {call}, {planned})"
        )


def test_it_is_finished_in_its_own_form(project: Project) -> None:
    """Whatever it consists of, in the order in which it was queued, and once."""
    half_way(project)
    assert status(project.config).state is State.HALF_WAY
    upgrade(project.config, "head")
    assert status(project.config).state is State.UP_TO_DATE
    assert project.query("SELECT convalidated FROM pg_constraint WHERE conname = 'few'") == [
        (True,)
    ]
    assert project.query("SELECT count(*) FROM t WHERE b <> 'y'") == [(0,)]
    assert project.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass") == [
        (True,)
    ]
    assert project.query("SELECT tgenabled FROM pg_trigger WHERE tgname = 'noted'") == [("O",)]
    assert project.query("SELECT b FROM v LIMIT 1") == [("y",)]
    assert project.query("SELECT count(*) FROM holdfast.queue") == [(0,)]


def test_it_can_be_given_up(project: Project) -> None:
    """Whoever does not want it is told what was done and what was not."""
    half_way(project)
    [found] = abandon(project.config)
    assert found.undo == ("ALTER TABLE public.t DROP CONSTRAINT IF EXISTS few",)
    assert found.not_done == ("validate constraint few of public.t", *LEFT)
