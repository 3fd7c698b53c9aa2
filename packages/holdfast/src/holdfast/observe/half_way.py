"""Finds a revision that is half-way with nobody working on it; each run asks that finds nothing pending."""

from sqlalchemy import Connection, text

from holdfast.errors.light_dataclass import light_dataclass
from holdfast.observe.current_holder import current_holder

# Not to_regclass(), which is an error where the schema is closed to this role.
MAY_READ = text(
    """
    SELECT count(*) = 3 AND bool_and(CASE WHEN has_schema_privilege(n.oid, 'USAGE')
                                          THEN has_table_privilege(c.oid, 'SELECT') ELSE false END)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'holdfast' AND c.relname IN ('history', 'queue', 'unfinished')
    """
)
# One row for each version table with a revision of which a part is done and recorded.
HALF_WAY = text(
    """
    SELECT revision, direction FROM holdfast.unfinished u
    WHERE CAST(:version_table AS text) IS NULL
       OR coalesce(to_jsonb(u) ->> 'version_table', '') IN ('', :version_table)
    """
)


@light_dataclass
class LeftHalfWay:
    """A revision of which part is done, and that nobody is working on."""

    revision: str
    direction: str


def left_half_way(
    connection: Connection, *, version_table: str | None = None
) -> LeftHalfWay | None:
    """Find a revision that is half-way while nobody migrates, of one version table or of any.

    None also where this role may not read it.
    """
    of = {"version_table": version_table}
    if not connection.scalar(MAY_READ) or connection.execute(HALF_WAY, of).first() is None:
        return None
    if current_holder(connection) is not None:
        return None
    # The migrator may have finished it between the two queries.
    row = connection.execute(HALF_WAY, of).first()
    return None if row is None else LeftHalfWay(revision=row.revision, direction=row.direction)
