"""Errors of a database that is to be migrated: its state, its server, its rights, its revisions."""

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_error


@light_error
class UnknownLayout(HoldfastError):
    """The schema holdfast was made by another version."""

    found: str
    known: str
    what = "The schema holdfast in this database has the layout '{found}'; this version knows '{known}'."
    why = "Another version of holdfast made it, or it does not belong to holdfast."
    remedy = (
        "Run the version of holdfast that made it, or newer. If the schema is not holdfast's, rename "
        "it: ALTER SCHEMA holdfast RENAME TO ..."
    )


@light_error
class NoRightToCreateSchema(HoldfastError):
    """The migration's role may not create the schema holdfast."""

    role: str
    database: str
    what = "Role {role} may not create the schema holdfast in database {database}; nothing was migrated."
    why = "holdfast keeps its history and its journal in tables of that schema."
    remedy = (
        "As an administrator of the database: CREATE SCHEMA IF NOT EXISTS holdfast;"
        " GRANT USAGE, CREATE ON SCHEMA holdfast TO {role}; Then run again: holdfast run"
    )


@light_error
class NoRightsInSchema(HoldfastError):
    """The schema holdfast belongs to another role, which has not let this one in."""

    role: str
    said: str
    what = "Role {role} may not use the tables in the database's schema `holdfast`: {said}. Nothing was migrated."
    why = (
        "Another role has migrated it before, and owns the tables with its history and its journal."
    )
    remedy = (
        "As that role, or an administrator: GRANT USAGE, CREATE ON SCHEMA holdfast TO {role};"
        " GRANT ALL ON ALL TABLES IN SCHEMA holdfast TO {role}; Then repeat the same command."
    )


@light_error
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


@light_error
class DatabaseRefused(HoldfastError):
    """The server answered with an error."""

    message: str
    sqlstate: str
    statement: str
    standing: str  # of the revision, or of the command
    way_on: str
    what = "The database answered with an error ({sqlstate}): {message}\nThe statement was: {statement}"
    why = "{standing}"
    remedy = "{way_on}"


@light_error
class UnknownDatabase(HoldfastError):
    """A database that has tables but no revision."""

    database: str
    relations: int
    exit_status = 2
    what = "Database {database} is not empty (relations: {relations}), but has no revision; nothing was migrated."
    why = "It may be another application's, or it was made without migrations: running all of them would fail."
    remedy = (
        "Say which revision it corresponds to: holdfast baseline REVISION (`base`: none of them). "
        "Then: holdfast run"
    )


@light_error
class LostVersionTable(HoldfastError):
    """The version table is gone, and the history of holdfast knows revisions that were applied."""

    database: str
    table: str
    recorded: tuple[str, ...]
    exit_status = 2
    what = "Database {database} has no table {table} any more; nothing was migrated."
    why = (
        "That table says which revisions are applied. By the history of holdfast the database was at "
        "{recorded}; without the table a run would begin at the first revision, on tables that are there."
    )
    remedy = (
        "If what they made is there, record it again: holdfast baseline {recorded}. If none of it is: "
        "holdfast baseline base. Then: holdfast run"
    )


@light_error
class EditedRevision(HoldfastError):
    """The file of an applied revision is not the one that ran."""

    revisions: tuple[str, ...]
    exit_status = 6
    what = "Applied revisions were edited afterwards: {revisions}. Nothing was migrated."
    why = (
        "This database was changed by the files as they were. The next one would be changed by the files as they"
        " are now, and the two would differ."
    )
    remedy = (
        "Restore the files and put the change into a new revision. If the edit changes nothing in the "
        "database (a comment, the layout): holdfast run --accept-edited"
    )


@light_error
class ReadOnlyServer(HoldfastError):
    """The server takes no writes."""

    database: str
    what = "The server of database {database} takes no writes; nothing was migrated."
    why = "It is a standby, or its sessions are read-only (default_transaction_read_only)."
    remedy = (
        "Point the migration's URL at the primary; with several hosts in it, add "
        "target_session_attrs=read-write"
    )
