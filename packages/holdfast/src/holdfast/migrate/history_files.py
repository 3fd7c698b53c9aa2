"""Opens the revisions of a project as one chain, of Alembic or of SQL files, and names a missing file."""

import re
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from holdfast.errors import HoldfastError
from holdfast.errors.project import MissingRevision
from holdfast.migrate.sql.source import sql_source

if TYPE_CHECKING:
    from holdfast.migrate.sql.history import SqlHistory


def open_history(config: Config) -> ScriptDirectory:
    """Open the project's revisions. Raises MissingRevision, the errors of SQL scripts, or alembic.util.CommandError."""
    source = sql_source(config)
    if source is not None:
        from holdfast.migrate.sql.history import (
            SqlHistory,  # loads what Alembic's files do not need
        )

        return SqlHistory(source)
    script = ScriptDirectory.from_config(config)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Revision .* is not present")  # said below
        try:
            _ = script.revision_map.heads  # reads every file
        except KeyError as error:
            raise MissingRevision(revision=str(error.args[0]), folder=str(script.dir)) from error
    return script


def takes_any_database(script: ScriptDirectory) -> bool:
    """Whether it may begin on a database with tables and no record: a single script may."""
    files = _of_sql(script)
    return files is not None and files.source.is_without_history


def edited_by_record(script: ScriptDirectory) -> tuple[str, ...]:
    """Give applied files whose checksum differs from the one that the folder's own tool recorded."""
    files = _of_sql(script)
    return () if files is None else files.edited


def refusal_of_files(script: ScriptDirectory, revisions: Iterable[str]) -> HoldfastError | None:
    """Say why one of these files cannot be applied; for Alembic's only their functions know it."""
    files = _of_sql(script)
    return None if files is None else files.refusal_of(revisions)


def has_way_back(revision: Script) -> bool:
    """Whether a revision can be reverted: an SQL file only if it has a script for it."""
    if type(revision) is Script:
        return True
    from holdfast.migrate.sql.history import SqlRevision

    return not isinstance(revision, SqlRevision) or revision.has_way_back


def surplus_heads(script: ScriptDirectory, config: Config | None) -> tuple[str, ...]:
    """Give the heads if there is more than one, unless each ends a branch that the project wants.

    Wanted are the labels in `branches`, of [tool.holdfast] or alembic.ini, each with one head of its own.
    """
    heads = tuple(script.get_heads())
    wanted = wanted_branches(config)
    labels = [_labels(script, head) & wanted for head in heads]
    ends = [label for each in labels for label in each]
    is_wanted = all(labels) and len(ends) == len(set(ends))
    return () if len(heads) < 2 or (wanted and is_wanted) else heads


def wanted_branches(config: Config | None) -> set[str]:
    """Read the wanted branches: a list in pyproject.toml, or names with commas or spaces in alembic.ini."""
    written = None if config is None else config.get_main_option("branches")
    return set(re.findall(r"[\w-]+", written or ""))


def _of_sql(script: ScriptDirectory) -> "SqlHistory | None":
    if type(script) is ScriptDirectory:
        return None
    from holdfast.migrate.sql.history import SqlHistory

    return script if isinstance(script, SqlHistory) else None


def _labels(script: ScriptDirectory, head: str) -> set[str]:
    revision = script.get_revision(head)
    return set() if revision is None else set(revision.branch_labels)
