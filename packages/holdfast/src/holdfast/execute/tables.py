"""The tables of holdfast in the target database, in a schema of their own.

`alembic_version` stays Alembic's; dropping the schema `holdfast` forgets the
history and nothing else.
"""

from collections.abc import Iterator

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Identity,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.schema import CreateTable, SetColumnComment

from holdfast.errors.migration import NoRightToCreateSchema, UnknownLayout
from holdfast.errors.sqlstate import INSUFFICIENT_PRIVILEGE, sqlstate
from holdfast.execute.session import MigrationSession
from holdfast.observe.schema_constants import FIRST_LAYOUT, LAYOUT, SCHEMA, SECOND_LAYOUT

metadata = MetaData(schema=SCHEMA)


def _version_table() -> Column[str]:
    """The column that says whose row it is: schema and name of the version table; '' in the first layout."""
    return Column("version_table", Text, nullable=False, server_default="")


history = Table(
    "history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("revision", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("checksum", Text, nullable=False, comment="SHA-256 of the revision's file"),
    Column("outcome", Text, nullable=False),
    Column("error", Text),
    Column("role", Text, nullable=False, server_default=func.current_user()),
    Column("client", Text, nullable=False, comment="operating system user, host, process id"),
    Column("holdfast_version", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    _version_table(),
    CheckConstraint("direction IN ('up', 'down')", name="history_direction_check"),
    CheckConstraint(
        "outcome IN ('running', 'done', 'failed', 'interrupted')", name="history_outcome_check"
    ),
)

# A revision that is half-way: at most one row for each version table.
unfinished = Table(
    "unfinished",
    metadata,
    Column("revision", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("function_ended", Boolean, nullable=False),
    Column("committed", Text, nullable=False),
    Column("new_relations", Text, nullable=False),
    Column("unrepeatable", Text),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _version_table(),
    PrimaryKeyConstraint("version_table", name="unfinished_pkey"),
)

# Its statements, in the order of their ids.
queue = Table(
    "queue",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("sql", Text, nullable=False),
    Column("new_relations", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("queued_on", Text, nullable=False),
    Column("call", Integer, nullable=False, comment="which call of the function has sent it"),
    Column("steps", Text),
    Column("steps_done", Integer, nullable=False, server_default="0"),
    Column("is_started", Boolean, nullable=False, server_default="false"),
    Column("captured", Text),
    Column("reached", Text),
    Column("done", Boolean, nullable=False, server_default="false"),
    _version_table(),
    Column("releases", Text, nullable=False, server_default="ONE", comment="that it is for"),
)

# What waits for `holdfast finish`, with how far that is: each is a unit of its own then.
waiting = Table(
    "waiting",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("revision", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("steps", Text),
    Column("steps_done", Integer, nullable=False, server_default="0"),
    Column("is_started", Boolean, nullable=False, server_default="false"),
    Column("captured", Text),
    Column("reached", Text),
    Column("seen", Text, comment="what the last look for those who use it has found"),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _version_table(),
)

# What its function has sent and got back, where it was interrupted before it returned.
calls = Table(
    "calls",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("sql", Text, nullable=False),
    Column("occurrence", Integer, nullable=False),
    Column("result", Text),
    _version_table(),
)

# One row: who migrates. Its epoch fences: see execute/leader.py.
leader = Table(
    "leader",
    metadata,
    Column("is_only_row", Boolean, primary_key=True, server_default="true"),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("client", Text),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("is_only_row", name="leader_is_only_row_check"),
)

# At most one row: who migrates through a pooler, where no lock of a session can say so. See execute/lease.py.
lease = Table(
    "lease",
    metadata,
    Column("is_only_row", Boolean, primary_key=True, server_default="true"),
    Column("token", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    CheckConstraint("is_only_row", name="lease_is_only_row_check"),
)

# At most one row: what `holdfast pause` asks of the run, which looks between batches and units.
pause = Table(
    "pause",
    metadata,
    Column("is_only_row", Boolean, primary_key=True, server_default="true"),
    Column("asked_by", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("is_only_row", name="pause_is_only_row_check"),
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
COMMENT_ON_LEADER = f"COMMENT ON TABLE {SCHEMA}.leader IS '{LAYOUT}'"
COMMENT_ON_SCHEMA = f"COMMENT ON SCHEMA {SCHEMA} IS '{LAYOUT}'"


def ensure(session: MigrationSession) -> None:
    """Create the schema and its tables if they are missing. One process at a time does this."""
    layout = layout_of(session)
    try:
        _bring_up_to_date(session, layout)
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


def _bring_up_to_date(session: MigrationSession, layout: str | None) -> None:
    if layout == LAYOUT:
        metadata.create_all(session.connection)
        return
    found = session.execute(SCHEMA_FOUND, {"schema": SCHEMA}).one()
    # Not IF NOT EXISTS, which asks for the right to create even where an administrator already has.
    if not found.exists:
        session.execute_together(*_all_at_once(session.dialect))
        return
    for sql in TO_THIS_LAYOUT.get(layout or "", ()):
        session.execute_sql(sql)
    metadata.create_all(session.connection)
    session.execute(insert(leader).values(epoch=0).on_conflict_do_nothing())
    session.execute_sql(COMMENT_ON_LEADER)
    if found.is_ours:  # what an older version of holdfast looks at
        session.execute_sql(COMMENT_ON_SCHEMA)


def _all_at_once(dialect: Dialect) -> Iterator[str]:
    """Give all statements that create the schema from nothing, as finished texts."""
    yield f"CREATE SCHEMA {SCHEMA}"
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=dialect))
        for column in table.columns:
            if column.comment is not None:
                yield str(SetColumnComment(column).compile(dialect=dialect))
    yield "INSERT INTO holdfast.leader (epoch) VALUES (0)"
    yield COMMENT_ON_LEADER
    yield COMMENT_ON_SCHEMA
