"""Finds the version table of a call of run_migrations, which tells its journal and history from others."""

from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from holdfast.execute import layout
from holdfast.execute.session import MigrationSession
from holdfast.observe.schema_constants import FIRST_LAYOUT

# The schema in which the session finds the table, or would create it.
SCHEMA = text(
    """
    SELECT coalesce((SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                     WHERE c.oid = to_regclass(quote_ident(:name))), current_schema(), '')::text
    """
)


def identify(session: MigrationSession, context: MigrationContext) -> str:
    """Tell the session which version table its journal and history belong to; give its schema. Reads only."""
    schema = schema_of(session, context)
    # Rows of the first layout do not say; the next run makes it the second.
    is_first = not session.is_first_here and layout.layout_of(session) == FIRST_LAYOUT
    session.version_table = "" if is_first else f"{schema}.{context.version_table}"
    return schema


def version_table_of(session: MigrationSession, context: MigrationContext) -> str:
    """Give schema and name, as in `public.alembic_version`, under the settings that env.py has made."""
    return f"{schema_of(session, context)}.{context.version_table}"


def schema_of(session: MigrationSession, context: MigrationContext) -> str:
    """Give the schema of the version table, which may not exist yet."""
    translated = session.migration.get_execution_options().get("schema_translate_map") or {}
    named = context.version_table_schema
    schema = translated.get(named, named)
    if schema is None:
        schema = session.execute(SCHEMA, {"name": context.version_table}).scalar_one()
    return str(schema)
