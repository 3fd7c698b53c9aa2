"""Connects the quick look with a full run, which has Alembic: what it asks first and records last."""

from pathlib import Path
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from holdfast.engine.variables import OF_ENVIRONMENT
from holdfast.execute import history
from holdfast.migrate.project_files import SECTION
from holdfast.migrate.up_to_date.files import folder_of
from holdfast.migrate.up_to_date.look import Project, project_by_settings, project_in, target_now
from holdfast.migrate.up_to_date.record import record

if TYPE_CHECKING:
    from holdfast.engine.target import Target

# In `Config.attributes`, by a program that gives env.py a connection: which database that leads to.
TARGET = "holdfast_target"
GIVEN = "given"  # what names it then


def project_of(config: Config) -> Project | None:
    """Give the project, if its database is known without env.py."""
    if getattr(config.cmd_opts, "x", None) or config.config_ini_section != SECTION:
        return None  # env.py is told something that the record does not know
    if getattr(config, "toml_file_name", None):
        return None  # Alembic before 1.16 has no such file
    given: Target | None = config.attributes.get(TARGET)
    if given is None:
        return None if config.attributes else project_by_settings(config.file_config)
    folder = folder_of(config.file_config)
    return None if folder is None else project_in(folder, config.file_config, given)


def is_by_settings(context: MigrationContext) -> bool:
    """Whether env.py works on the database of our settings, in the default version table."""
    connection = context.connection
    assert connection is not None  # noqa: S101  # only None in offline mode
    usual = (context.version_table, context.version_table_schema) == ("alembic_version", None)
    return usual and (_is_given(context, connection) or _is_of_environment(connection))


def _is_given(context: MigrationContext, connection: Connection) -> bool:
    attributes = context.config.attributes if context.config is not None else {}
    given = attributes.get("connection") if TARGET in attributes else None
    return isinstance(given, Connection) and given.engine is connection.engine


def _is_of_environment(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(OF_ENVIRONMENT))


def record_rest(project: Project, script: ScriptDirectory) -> None:
    """Record that nothing is pending, if so and if the environment has not changed meanwhile."""
    heads = script.get_heads()
    if len(heads) != 1 or not _is_still_there(project.target):
        return
    checksums = {
        revision.revision: history.checksum_of(Path(revision.path))
        for revision in script.walk_revisions()
        if isinstance(revision, Script)
    }
    record(project, head=heads[0], checksums=checksums, no_file=history.NO_FILE)


def _is_still_there(target: "Target") -> bool:
    """Whether the target is still the same: not if env.py has changed the variables that name it."""
    now = target_now()
    return target.named_by == GIVEN or (now is not None and now.named_by == target.named_by)
