"""Runs Alembic's own `upgrade` and `downgrade`, statements as written, for one database of several."""

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep

from holdfast.migrate.databases import passes_of
from holdfast.migrate.history_files import open_history
from holdfast.migrate.taken_back import step_down


def upgrade_plainly(config: Config, revision: str) -> None:
    """Upgrade as alembic.command.upgrade does; only in the database to which the project is restricted."""
    _migrate(config, revision, "_upgrade_revs")


def downgrade_plainly(config: Config, revision: str) -> None:
    """Downgrade as alembic.command.downgrade does; only in the database to which the project is restricted."""
    _migrate(config, revision, "_downgrade_revs")


def take_back_plainly(config: Config, revision: str) -> None:
    """Downgrade this revision alone: `alembic downgrade` to the one below takes other branches with it."""
    _migrate(config, revision, "")


def _migrate(config: Config, revision: str, find: str) -> None:
    script = open_history(config)
    passes = passes_of(config)

    def steps(heads: tuple[str, ...], context: MigrationContext) -> list[RevisionStep]:
        if passes.next(context) is None:
            return []
        context._ensure_version_table()  # noqa: SLF001  # what run_migrations would have called, in each database
        if not find:
            return [step_down(script, revision)]
        found: list[RevisionStep] = getattr(script, find)(
            revision, heads
        )  # as alembic.command does
        return found

    # On a scratch database, the connections for the other databases lead there, too: of two that create the
    # version table, each in its open transaction, one would wait for ever.
    with EnvironmentContext(config, script, fn=steps, destination_rev=revision, dont_mutate=True):
        script.run_env()
