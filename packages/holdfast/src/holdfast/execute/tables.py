"""The tables of holdfast in the target database, in a schema of their own.

`alembic_version` stays Alembic's; dropping the schema `holdfast` forgets the
history and nothing else.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.exc import ProgrammingError

from holdfast.errors.migration import NoRightToCreateSchema, UnknownLayout
from holdfast.errors.sqlstate import INSUFFICIENT_PRIVILEGE, sqlstate
from holdfast.execute.session import MigrationSession
from holdfast.observe.schema_constants import LAYOUT, SCHEMA

metadata = MetaData(schema=SCHEMA)

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
    CheckConstraint("direction IN ('up', 'down')", name="history_direction_check"),
    CheckConstraint(
        "outcome IN ('running', 'done', 'failed', 'interrupted')", name="history_outcome_check"
    ),
)

# A revision that is half-way: at most one row.
unfinished = Table(
    "unfinished",
    metadata,
    Column("revision", Text, primary_key=True),
    Column("direction", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("function_ended", Boolean, nullable=False),
    Column("committed", Text, nullable=False),
    Column("new_relations", Text, nullable=False),
    Column("unrepeatable", Text),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
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
)

# What its function has sent and got back, where it was interrupted before it returned.
calls = Table(
    "calls",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("sql", Text, nullable=False),
    Column("occurrence", Integer, nullable=False),
    Column("result", Text),
)

LAYOUT_OF_SCHEMA = text(
    "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema"
)


def ensure(session: MigrationSession) -> None:
    """Create the schema and its tables where they are missing. One process at a time does this."""
    if not exist(session):
        _create_schema(session)
    metadata.create_all(session.connection)


def exist(session: MigrationSession) -> bool:
    """Whether holdfast has ever run here. Reads only."""
    layout = session.execute(LAYOUT_OF_SCHEMA, {"schema": SCHEMA}).scalar_one_or_none()
    if layout not in (None, LAYOUT):
        raise UnknownLayout(found=str(layout), known=LAYOUT)
    return layout is not None


def _create_schema(session: MigrationSession) -> None:
    try:
        # Not IF NOT EXISTS, which asks for the right to create even where an administrator already has.
        if (
            session.execute(text("SELECT to_regnamespace(:schema)"), {"schema": SCHEMA}).scalar()
            is None
        ):
            session.execute_sql(f"CREATE SCHEMA {SCHEMA}")
        session.execute_sql(f"COMMENT ON SCHEMA {SCHEMA} IS '{LAYOUT}'")
    except ProgrammingError as error:
        session.rollback()
        if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
            raise
        row = session.execute(
            text("SELECT current_user AS role, current_database() AS database")
        ).one()
        raise NoRightToCreateSchema(role=row.role, database=row.database) from error
