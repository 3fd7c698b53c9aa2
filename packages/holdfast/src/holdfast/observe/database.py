"""Questions about a database as a whole: its name, its relations, whether it takes writes."""

from sqlalchemy import Connection, text

# Relations that a person has made: not the system's, not an extension's, not holdfast's, not the version table.
RELATIONS = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'holdfast')
      AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
      AND c.relname <> :version_table
      -- Schemas with a version table of Alembic are known: other tenants, other projects.
      AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema OR NOT EXISTS (
             SELECT FROM pg_class v JOIN pg_attribute a ON attrelid = v.oid AND attname = 'version_num'
             WHERE v.relnamespace = n.oid AND v.relnatts = 1 AND v.relkind = 'r'))
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
"""
USER_RELATIONS = text(RELATIONS)

IS_CITUS = text("SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL")
IS_UNUSED = text(
    f"SELECT ({RELATIONS}) = 0 AND NOT EXISTS (SELECT FROM holdfast.unfinished)"  # noqa: S608  # both are ours
)


def count_user_relations(connection: Connection, *, version_table: str) -> int:
    """Count the tables, views and sequences that people have made in the database."""
    values = {"version_table": version_table, "schema": None}
    return int(connection.execute(USER_RELATIONS, values).scalar_one())


def is_unused(connection: Connection, *, version_table: str) -> bool:
    """Whether people have made no table, view or sequence in the database, and no revision is half-way."""
    values = {"version_table": version_table, "schema": None}
    return bool(connection.execute(IS_UNUSED, values).scalar_one())


def count_unexplained_relations(connection: Connection, *, schema: str, version_table: str) -> int:
    """Count the relations in a version table's schema, and those in schemas that have no version table."""
    values = {"version_table": version_table, "schema": schema}
    return int(connection.execute(USER_RELATIONS, values).scalar_one())


def database_name(connection: Connection) -> str:
    """Give the name of the database."""
    name: str = connection.execute(text("SELECT current_database()")).scalar_one()
    return name


def is_read_only(connection: Connection) -> bool:
    """Whether the server takes no writes: a standby, or a session that may not write."""
    state = text("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool")
    return bool(connection.execute(state).scalar_one())


def server_major(connection: Connection) -> int:
    """Give the major version of the server: 15, 16, 17, 18."""
    version = text("SELECT current_setting('server_version_num')::int / 10000")
    return int(connection.execute(version).scalar_one())


def is_citus(connection: Connection) -> bool:
    """Whether the database belongs to a cluster of Citus."""
    return bool(connection.execute(IS_CITUS).scalar_one())
