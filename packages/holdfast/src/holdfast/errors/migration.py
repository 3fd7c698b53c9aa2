"""What can go wrong with a project, its revisions and the database they are for."""

from dataclasses import dataclass
from datetime import timedelta

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class UnknownConfiguration(HoldfastError):
    """No Alembic project was found where one was looked for."""

    looked_in: str
    exit_status = 2
    what = "No Alembic project found: looked in {looked_in}."
    why = "A project is an alembic.ini, or [tool.holdfast] script_location in a pyproject.toml."
    remedy = "Run in the folder of the project, or name the file: holdfast -c path/to/alembic.ini"


@dataclass(kw_only=True, eq=False)
class BehindPooler(HoldfastError):
    """The migration's connection goes through a connection pooler."""

    what = "This database is reached through a connection pooler; nothing was migrated."
    why = (
        "A pooler can give the lock that keeps two migrators apart to both of them, and hands the "
        "migration's session settings to the application's connections."
    )
    remedy = (
        "Point the migration's URL (the one that env.py uses) straight at the server, usually port "
        "5432 instead of the pooler's; the application keeps the pooler."
    )


@dataclass(kw_only=True, eq=False)
class AnotherMigratorIsStillAtWork(HoldfastError):
    """The leader's lock was not free within the patience of this process."""

    holder: str
    waited: timedelta
    what = "Another process migrates this database: {holder}. Nothing was done here."
    why = "Only one process migrates at a time; this one waited {waited} for it to end."
    remedy = (
        "Let it finish and run again: holdfast run. `holdfast status` shows how far it is. If it is "
        "stuck, end that session with SELECT pg_terminate_backend(pid)."
    )


@dataclass(kw_only=True, eq=False)
class LeadershipLost(HoldfastError):
    """The connection that held the leader's lock is gone."""

    what = (
        "The connection that holds the migration lock was lost; the run stopped between two steps."
    )
    why = "Without the lock another process may migrate at the same time."
    remedy = "What was committed stays. Run again to go on: holdfast run"


@dataclass(kw_only=True, eq=False)
class UnknownLayout(HoldfastError):
    """The schema holdfast was made by another version."""

    found: str
    known: str
    what = "The schema holdfast in this database has the layout '{found}'; this version knows '{known}'."
    why = "Another version of holdfast made it, or it is not ours."
    remedy = (
        "Run the version of holdfast that made it, or newer. If the schema is not holdfast's, rename "
        "it: ALTER SCHEMA holdfast RENAME TO ..."
    )


@dataclass(kw_only=True, eq=False)
class NoRightToCreateSchema(HoldfastError):
    """The migration's role may not create the schema holdfast."""

    role: str
    database: str
    what = "Role {role} may not create the schema holdfast in database {database}; nothing was migrated."
    why = "holdfast keeps its history and its journal in tables of that schema."
    remedy = (
        "As an owner of the database: CREATE SCHEMA holdfast AUTHORIZATION {role}; then run again."
    )


@dataclass(kw_only=True, eq=False)
class DatabaseAhead(HoldfastError):
    """The database is at a revision that the project has no file for."""

    revisions: tuple[str, ...]
    exit_status = 4
    what = "The database is at revision {revisions}, and this project has no file for it."
    why = (
        "A newer version of the project has migrated this database, the file was deleted, or this is "
        "the database of another project."
    )
    remedy = (
        "Deploy the version that has the file, or, with that version, take it back first: "
        "holdfast revert --to REVISION"
    )


@dataclass(kw_only=True, eq=False)
class TwoHeads(HoldfastError):
    """The history ends in more than one revision."""

    heads: tuple[str, ...]
    exit_status = 2
    what = "The history has more than one head: {heads}. Nothing was migrated."
    why = "Two revisions were written on top of the same one, often in two branches of the repository."
    remedy = (
        "Join them in one revision: alembic merge heads. Where both are meant to stay: "
        "holdfast run --to heads"
    )


@dataclass(kw_only=True, eq=False)
class AlembicRefused(HoldfastError):
    """Alembic could not do what was asked."""

    message: str
    what = "Alembic could not do this: {message}"
    why = "The revisions of the project, or the revision that was asked for, do not fit together."
    remedy = "Look at the chain of revisions: alembic history. What is applied: holdfast status"


@dataclass(kw_only=True, eq=False)
class DatabaseRefused(HoldfastError):
    """The server, or the way to it, answered with an error."""

    message: str
    sqlstate: str
    what = "The database answered with an error ({sqlstate}): {message}"
    why = "What was committed before stays; the revision that failed was rolled back."
    remedy = "Mend what the message names, then run again. What is applied: holdfast status"
