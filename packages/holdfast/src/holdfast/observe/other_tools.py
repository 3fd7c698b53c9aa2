"""Knows the tables in which migration tools keep their records: they are in no models and must not be dropped."""

NAMES = frozenset(
    {
        "alembic_version",
        "ar_internal_metadata",
        "atlas_schema_revisions",
        "databasechangelog",
        "databasechangeloglock",
        "django_migrations",
        "flyway_schema_history",
        "goose_db_version",
        "knex_migrations",
        "knex_migrations_lock",
        "_prisma_migrations",
        "schema_migrations",
        "schema_version",
        "SequelizeMeta",
        "typeorm_metadata",
        "_yoyo_log",
        "_yoyo_migration",
        "_yoyo_version",
        "yoyo_lock",
    }
)


def is_of_another_tool(table: str) -> bool:
    """Whether a known tool gives its own table this name."""
    return table in NAMES
