"""Where and how the migrations of the marketplace run: an ordinary Alembic environment.

On the connection that a program gives in `config.attributes["connection"]`; else on DATABASE_URL;
else on the embedded server of the data folder, which is started for the command when it is not up.
"""

from alembic import context
from sqlalchemy import Connection

from holdfast import create_migration_engine
from marketplace.database import database_settings
from marketplace.entities import Entity
from marketplace.server import visited_database
from marketplace.settings import read_settings


def migrate_on(connection: Connection) -> None:
    """Run the migrations on a connection, each revision in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=Entity.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate_where_the_settings_say() -> None:
    """Run the migrations where no program gave a connection: `alembic upgrade head`, `holdfast run`."""
    settings = read_settings()
    with visited_database(settings) as url:
        database = database_settings(url, profile=settings.profile)
        with create_migration_engine(database).connect() as connection:
            migrate_on(connection)


def print_statements() -> None:
    """Print the SQL for `alembic upgrade head --sql`, without a database."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=Entity.metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    print_statements()
elif (given := context.config.attributes.get("connection")) is not None:
    migrate_on(given)
else:
    migrate_where_the_settings_say()
