"""Writes a revision from the difference between the models and the database."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext

from holdfast.run.tables import SCHEMA


def generate(config: Config, name: str) -> Path | None:
    """Write a revision called `name`; give its file, or None when there was nothing to write."""

    def leave_out_what_is_ours(
        context: MigrationContext, revision: object, directives: list[MigrationScript]
    ) -> None:
        script = directives[0]
        for operations in (*script.upgrade_ops_list, *script.downgrade_ops_list):
            operations.ops = [op for op in operations.ops if getattr(op, "schema", None) != SCHEMA]
        if all(operations.is_empty() for operations in script.upgrade_ops_list):
            directives.clear()

    script = command.revision(
        config,
        message=name,
        autogenerate=True,
        process_revision_directives=leave_out_what_is_ours,
    )
    return Path(script.path) if script and not isinstance(script, list) else None
