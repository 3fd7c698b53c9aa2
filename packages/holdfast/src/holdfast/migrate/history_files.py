"""Opens the revision files of an Alembic project as one chain, or says which file is missing."""

import warnings

from alembic.config import Config
from alembic.script import ScriptDirectory

from holdfast.errors.migration import MissingRevision


def open_history(config: Config) -> ScriptDirectory:
    """The project's revisions. Raises MissingRevision, or alembic.util.CommandError."""
    script = ScriptDirectory.from_config(config)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Revision .* is not present")  # said below
        try:
            _ = script.revision_map.heads  # reads every file
        except KeyError as error:
            raise MissingRevision(revision=str(error.args[0]), folder=str(script.dir)) from error
    return script
