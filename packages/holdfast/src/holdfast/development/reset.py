"""Empties a database of development or test and runs its history again.

Dropped is what the role of the migrations owns and no extension does: relations, types, functions, and
its own schemas. What an administrator made (schemas, extensions) stays, as nobody else could make it again.
"""

from alembic.config import Config
from psycopg import sql
from sqlalchemy import text

from holdfast.development.disposable import require_profile_of
from holdfast.engine import environment
from holdfast.engine.profiles import Profile
from holdfast.execute.progress import Report, silent
from holdfast.execute.session import MigrationSession
from holdfast.migrate.locked_connection import LockedConnection, on_locked_connection
from holdfast.migrate.project_connection import on_project_connection
from holdfast.migrate.run import upgrade

ALLOWED = (Profile.DEVELOPMENT, Profile.TEST)
# A session of an application that is idle in a transaction must not keep this waiting for ever.
IMPATIENT = text("SELECT set_config('lock_timeout', '10s', true)")
# One row per thing to drop, what others depend on last; CASCADE takes the rest.
OWNED = text(
    """
    WITH mine AS (
      SELECT n.oid, n.nspname, n.nspowner FROM pg_namespace n
      WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema')
    SELECT 1 AS place, 'SCHEMA' AS kind, n.nspname AS schema, NULL AS name, NULL AS arguments
    FROM mine n WHERE n.nspname <> 'public' AND pg_has_role(n.nspowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extnamespace = n.oid)
    UNION ALL
    SELECT 2, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE'
                ELSE 'TABLE' END, n.nspname, c.relname, NULL
    FROM pg_class c JOIN mine n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND pg_has_role(c.relowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i')))
    UNION ALL
    SELECT 4, CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
           n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)
    FROM pg_proc p JOIN mine n ON n.oid = p.pronamespace
    WHERE pg_has_role(p.proowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                      AND d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 3, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname, t.typname, NULL
    FROM pg_type t JOIN mine n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r') AND pg_has_role(t.typowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass
                      AND d.objid = t.oid AND d.deptype = 'e')
    ORDER BY 1, 2, 3, 4, 5
    """
)


def reset(config: Config, *, profile: Profile, report: Report = silent) -> None:
    """Empty the database and run its history again; all data is gone. Raises NotDisposable by the stamp in it."""
    kept = require_disposable(config, profile=profile)

    def empty(locked: LockedConnection) -> None:
        locked.session.execute(IMPATIENT)
        _drop_everything(locked.session)
        environment.stamp_in(locked.session.connection, profile=kept)

    on_locked_connection(config, empty, report=report)
    upgrade(config, "heads", report=report)


def require_disposable(config: Config, *, profile: Profile) -> Profile:
    """Give the profile that the database has and keeps; raises NotDisposable. Reads only."""
    return on_project_connection(
        config,
        lambda project: require_profile_of(
            project.connection, ALLOWED, profile=profile, verb="reset"
        ),
    )


def _drop_everything(session: MigrationSession) -> None:
    for row in session.execute(OWNED).all():
        name = (row.schema,) if row.name is None else (row.schema, row.name)
        statement = sql.SQL("DROP {kind} IF EXISTS {name}{arguments} CASCADE").format(
            kind=sql.SQL(row.kind),
            name=sql.Identifier(*name),
            arguments=sql.SQL("" if row.arguments is None else f"({row.arguments})"),
        )
        session.execute_sql(statement.as_string(None))
