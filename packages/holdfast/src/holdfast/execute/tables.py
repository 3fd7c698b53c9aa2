"""The tables of holdfast as SQLAlchemy knows them. As they are made where nothing is there: `layout`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
)

from holdfast.observe.schema_constants import SCHEMA

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
