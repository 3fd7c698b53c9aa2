"""Creates the schema of holdfast, or brings an older layout of it up to date.

`alembic_version` stays Alembic's; dropping the schema `holdfast` forgets the
history and nothing else.
"""

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from holdfast.errors.migration import NoRightToCreateSchema, UnknownLayout
from holdfast.errors.sqlstate import INSUFFICIENT_PRIVILEGE, sqlstate
from holdfast.execute.history import client
from holdfast.execute.session import MigrationSession
from holdfast.observe.schema_constants import FIRST_LAYOUT, LAYOUT, SCHEMA, SECOND_LAYOUT
from holdfast.rewrite.literals import literal

# The tables of execute/tables.py as finished texts, which an empty database need not wait for: a test compares them.
TABLES = (
    """
    CREATE TABLE holdfast.calls (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        sql TEXT NOT NULL,
        occurrence INTEGER NOT NULL,
        result TEXT,
        version_table TEXT DEFAULT '' NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE holdfast.history (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        revision TEXT NOT NULL,
        description TEXT NOT NULL,
        direction TEXT NOT NULL,
        checksum TEXT NOT NULL,
        outcome TEXT NOT NULL,
        error TEXT,
        role TEXT DEFAULT CURRENT_USER NOT NULL,
        client TEXT NOT NULL,
        holdfast_version TEXT NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        finished_at TIMESTAMP WITH TIME ZONE,
        version_table TEXT DEFAULT '' NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT history_direction_check CHECK (direction IN ('up', 'down')),
        CONSTRAINT history_outcome_check CHECK (outcome IN ('running', 'done', 'failed', 'interrupted'))
    )
    """,
    "COMMENT ON COLUMN holdfast.history.checksum IS 'SHA-256 of the revision''s file'",
    "COMMENT ON COLUMN holdfast.history.client IS 'operating system user, host, process id'",
    """
    CREATE TABLE holdfast.leader (
        is_only_row BOOLEAN DEFAULT 'true' NOT NULL,
        epoch BIGINT DEFAULT '0' NOT NULL,
        client TEXT,
        since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (is_only_row),
        CONSTRAINT leader_is_only_row_check CHECK (is_only_row)
    )
    """,
    """
    CREATE TABLE holdfast.lease (
        is_only_row BOOLEAN DEFAULT 'true' NOT NULL,
        token TEXT NOT NULL,
        client TEXT NOT NULL,
        until TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (is_only_row),
        CONSTRAINT lease_is_only_row_check CHECK (is_only_row)
    )
    """,
    """
    CREATE TABLE holdfast.pause (
        is_only_row BOOLEAN DEFAULT 'true' NOT NULL,
        asked_by TEXT NOT NULL,
        since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (is_only_row),
        CONSTRAINT pause_is_only_row_check CHECK (is_only_row)
    )
    """,
    """
    CREATE TABLE holdfast.queue (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        sql TEXT NOT NULL,
        new_relations TEXT NOT NULL,
        settings TEXT NOT NULL,
        queued_on TEXT NOT NULL,
        call INTEGER NOT NULL,
        steps TEXT,
        steps_done INTEGER DEFAULT '0' NOT NULL,
        is_started BOOLEAN DEFAULT 'false' NOT NULL,
        captured TEXT,
        reached TEXT,
        done BOOLEAN DEFAULT 'false' NOT NULL,
        version_table TEXT DEFAULT '' NOT NULL,
        releases TEXT DEFAULT 'ONE' NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "COMMENT ON COLUMN holdfast.queue.call IS 'which call of the function has sent it'",
    "COMMENT ON COLUMN holdfast.queue.releases IS 'that it is for'",
    """
    CREATE TABLE holdfast.unfinished (
        revision TEXT NOT NULL,
        direction TEXT NOT NULL,
        checksum TEXT NOT NULL,
        function_ended BOOLEAN NOT NULL,
        committed TEXT NOT NULL,
        new_relations TEXT NOT NULL,
        unrepeatable TEXT,
        since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        version_table TEXT DEFAULT '' NOT NULL,
        CONSTRAINT unfinished_pkey PRIMARY KEY (version_table)
    )
    """,
    """
    CREATE TABLE holdfast.waiting (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        revision TEXT NOT NULL,
        document TEXT NOT NULL,
        settings TEXT NOT NULL,
        steps TEXT,
        steps_done INTEGER DEFAULT '0' NOT NULL,
        is_started BOOLEAN DEFAULT 'false' NOT NULL,
        captured TEXT,
        reached TEXT,
        seen TEXT,
        since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        version_table TEXT DEFAULT '' NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "COMMENT ON COLUMN holdfast.waiting.seen IS 'what the last look for those who use it has found'",
)
# One row: the layout of what is there, which the owner of the table writes, whoever owns the schema.
LAYOUT_FOUND = text(
    """
    SELECT coalesce((SELECT obj_description(c.oid, 'pg_class') FROM pg_class c
                     WHERE c.relnamespace = n.oid AND c.relname = 'leader'),
                    obj_description(n.oid, 'pg_namespace')) AS layout
    FROM pg_namespace n WHERE n.nspname = :schema
    """
)
SCHEMA_FOUND = text(
    """
    SELECT count(*) > 0 AS exists, coalesce(bool_or(pg_has_role(nspowner, 'USAGE')), false) AS is_ours
    FROM pg_namespace WHERE nspname = :schema
    """
)
TO_SECOND_LAYOUT = (
    *(
        f"ALTER TABLE {SCHEMA}.{name} ADD COLUMN IF NOT EXISTS version_table text NOT NULL DEFAULT ''"
        for name in ("history", "unfinished", "queue", "calls")
    ),
    f"ALTER TABLE {SCHEMA}.unfinished DROP CONSTRAINT unfinished_pkey",
    f"ALTER TABLE {SCHEMA}.unfinished ADD CONSTRAINT unfinished_pkey PRIMARY KEY (version_table)",
)
TO_THIRD_LAYOUT = (
    f"ALTER TABLE {SCHEMA}.queue ADD COLUMN IF NOT EXISTS releases text NOT NULL DEFAULT 'ONE'",
)
# By the layout that is found.
TO_THIS_LAYOUT = {
    FIRST_LAYOUT: (*TO_SECOND_LAYOUT, *TO_THIRD_LAYOUT),
    SECOND_LAYOUT: TO_THIRD_LAYOUT,
}
FIRST_EPOCH = 1
FIRST_LEADER = "INSERT INTO holdfast.leader (epoch, client) VALUES ({epoch}, {client})"
LEADER = "INSERT INTO holdfast.leader (epoch) VALUES (0)"
COMMENT_ON_LEADER = f"COMMENT ON TABLE {SCHEMA}.leader IS '{LAYOUT}'"
COMMENT_ON_SCHEMA = f"COMMENT ON SCHEMA {SCHEMA} IS '{LAYOUT}'"


def ensure(session: MigrationSession) -> bool:
    """Create the schema and its tables if they are missing; say whether nothing was there. One process at a time."""
    layout = layout_of(session)
    try:
        return _bring_up_to_date(session, layout)
    except ProgrammingError as error:
        session.rollback()
        if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
            raise
        row = session.execute(
            text("SELECT quote_ident(current_user) AS role, current_database() AS database")
        ).one()
        raise NoRightToCreateSchema(role=row.role, database=row.database) from error


def exist(session: MigrationSession) -> bool:
    """Whether holdfast has ever run in this database. Reads only."""
    return layout_of(session) is not None


def layout_of(session: MigrationSession) -> str | None:
    """Give the layout of the tables; None if there are none. Raises UnknownLayout."""
    layout = session.execute(LAYOUT_FOUND, {"schema": SCHEMA}).scalar_one_or_none()
    if layout not in (None, LAYOUT, *TO_THIS_LAYOUT):
        raise UnknownLayout(found=str(layout), known=LAYOUT)
    return layout


def _bring_up_to_date(session: MigrationSession, layout: str | None) -> bool:
    if layout == LAYOUT:
        _make_what_is_missing(session)
        return False
    found = session.execute(SCHEMA_FOUND, {"schema": SCHEMA}).one()
    # Not IF NOT EXISTS, which asks for the right to create even where an administrator already has.
    if not found.exists:
        first = FIRST_LEADER.format(epoch=FIRST_EPOCH, client=literal(client()))
        comments = (COMMENT_ON_LEADER, COMMENT_ON_SCHEMA)
        session.execute_together(f"CREATE SCHEMA {SCHEMA}", *TABLES, first, *comments)
        return True
    for sql in TO_THIS_LAYOUT.get(layout or "", ()):
        session.execute_sql(sql)
    _make_what_is_missing(session)
    session.execute_sql(f"{LEADER} ON CONFLICT DO NOTHING")
    session.execute_sql(COMMENT_ON_LEADER)
    if found.is_ours:  # what an older version of holdfast looks at
        session.execute_sql(COMMENT_ON_SCHEMA)
    return False


def _make_what_is_missing(session: MigrationSession) -> None:
    from holdfast.execute.tables import metadata  # which an empty database has no use for

    metadata.create_all(session.connection)
