"""The models and the migrations describe one schema."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from marketplace.entities import Entity

# One row for each column, constraint, index and table option. What PostgreSQL itself says of them,
# so that nothing is left out that a comparison of models does not look at: CHECKs, collations.
DEFINITIONS = text("""
    SELECT format('column %s.%s %s %s %s %s', attrelid::regclass, attname,
                  format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid),
                  CASE WHEN attnotnull THEN 'NOT NULL' END,
                  (SELECT collname FROM pg_collation WHERE oid = attcollation))
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('constraint %s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT format('options %s %s', oid::regclass, reloptions)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
""")


def definitions(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        rows = connection.scalars(DEFINITIONS)
        return {row for row in rows if "alembic_version" not in row}


def test_autogenerate_finds_nothing_to_do(migrated: Engine) -> None:
    """What Alembic compares, types and defaults included."""
    with migrated.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Entity.metadata) == []


def test_both_give_the_same_database(migrated: Engine, engine: Engine) -> None:
    """What PostgreSQL says of the tables, in all that Alembic does not compare too."""
    Entity.metadata.create_all(engine)
    assert definitions(migrated) == definitions(engine)
