"""Opens the revisions of a project as one chain: those of Alembic, or SQL files. Says which file is missing."""

import re
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from holdfast.errors import HoldfastError
from holdfast.errors.migration import MissingRevision
from holdfast.migrate.sql.source import sql_source

if TYPE_CHECKING:
    from holdfast.migrate.sql.history import SqlHistory


def open_history(config: Config) -> ScriptDirectory:
    """The project's revisions. Raises MissingRevision, the errors of SQL scripts, or alembic.util.CommandError."""
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
    """Whether it may begin where there are tables of which nothing is recorded: a single script may."""
    files = _of_sql(script)
    return files is not None and files.source.is_without_history


def edited_by_record(script: ScriptDirectory) -> tuple[str, ...]:
    """Applied files that are not those of which the folder's own tool has recorded a checksum."""
    files = _of_sql(script)
    return () if files is None else files.edited


def refusal_of_files(script: ScriptDirectory, revisions: Iterable[str]) -> HoldfastError | None:
    """Why a file of these cannot be applied; of Alembic's only their functions know it."""
    files = _of_sql(script)
    return None if files is None else files.refusal_of(revisions)


def has_way_back(revision: Script) -> bool:
    """Whether it can be reverted: of SQL files only those that have a script for it."""
    if type(revision) is Script:
        return True
    from holdfast.migrate.sql.history import SqlRevision

    return not isinstance(revision, SqlRevision) or revision.has_way_back


def surplus_heads(script: ScriptDirectory, config: Config | None) -> tuple[str, ...]:
    """The heads where there is more than one, but not where each ends a branch that the project wants.

    Wanted are the labels in `branches`, of [tool.holdfast] or alembic.ini, each with one head of its own.
    """
    heads = tuple(script.get_heads())
    wanted = wanted_branches(config)
    labels = [_labels(script, head) & wanted for head in heads]
    ends = [label for each in labels for label in each]
    is_wanted = all(labels) and len(ends) == len(set(ends))
    return () if len(heads) < 2 or (wanted and is_wanted) else heads


def wanted_branches(config: Config | None) -> set[str]:
    """A list in pyproject.toml; in alembic.ini names with commas or spaces between them."""
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
