"""Errors in SQL scripts and folders of them, found before anything has run."""

from dataclasses import dataclass

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class UnparsableScript(HoldfastError):
    """PostgreSQL's own parser does not accept a script."""

    place: str  # FILE:LINE
    message: str
    exit_status = 1
    what = "PostgreSQL's parser does not accept this: {message}. Nothing was run."
    why = "The whole script is read before its first statement runs: what a statement locks is in its syntax."
    remedy = "Correct the line; variables of psql (:name) have to be replaced by their values. Then: {again}"


@dataclass(kw_only=True, eq=False)
class PsqlCommandInScript(HoldfastError):
    """A script contains a command that only psql knows."""

    place: str
    command: str
    exit_status = 1
    what = "{command} is a command of psql, not SQL. Nothing was run."
    why = "psql executes it itself; the server never sees it, so a plan cannot contain it."
    remedy = (
        "Take the line out, and write what it does as SQL, or as a script of its own. Then: {again}"
    )


@dataclass(kw_only=True, eq=False)
class TransactionInScript(HoldfastError):
    """A script begins or ends transactions by itself."""

    place: str
    statement: str
    exit_status = 1
    what = "{statement} cannot stand here. Nothing was run."
    why = (
        "The run decides where transactions begin and end: short ones for what locks, the long work outside of"
        " them. Only a script that is one BEGIN .. COMMIT as a whole leaves that to it."
    )
    remedy = (
        "Take the line out: what belongs together is committed together without it. Then: {again}"
    )


@dataclass(kw_only=True, eq=False)
class CopyDataInScript(HoldfastError):
    """A script contains rows for COPY."""

    place: str
    relation: str
    exit_status = 1
    what = (
        "{place}: COPY {relation} FROM STDIN reads rows that stand in the script. Nothing was run."
    )
    why = "The rows are not statements: after a kill in the middle nobody would know which of them are there."
    remedy = "Write them as INSERT, or load them with psql beside the migration. Then: {again}"


@dataclass(kw_only=True, eq=False)
class PlaceholderInScript(HoldfastError):
    """A script contains a placeholder that its tool would replace."""

    place: str
    placeholder: str
    exit_status = 1
    what = "{placeholder} is a placeholder. Nothing was run."
    why = "Its value is in the configuration of the folder's own tool, which is not read here."
    remedy = "Write the value into the script, or apply this one with the tool. Then: {again}"


@dataclass(kw_only=True, eq=False)
class FolderNotUnderstood(HoldfastError):
    """A folder of SQL files has no layout that is known."""

    path: str
    found: str
    exit_status = 2
    what = "{path} is no folder of migrations that is understood: {found}."
    why = (
        "Looked for: NUMBER_name.sql with -- migrate:up (dbmate); V1__name.sql (Flyway); NAME/migration.sql"
        " (Prisma); meta/_journal.json (Drizzle); NUMBER_name.sql or NUMBER.sql alone."
    )
    remedy = "Name the folder in which these files are, or its layout: holdfast apply FOLDER --layout NAME"


@dataclass(kw_only=True, eq=False)
class WrongMigrationFile(HoldfastError):
    """A file does not fit the layout of its folder."""

    place: str
    layout: str
    said: str
    exit_status = 2
    what = "not as {layout} has it: {said}. Nothing was run."
    why = "Which part of it to apply, and in which order, would be a guess."
    remedy = "Correct the file or its name, or move it out of the folder. Then: {again}"


@dataclass(kw_only=True, eq=False)
class FailedInTool(HoldfastError):
    """The folder's own tool has recorded a migration as failed."""

    version: str
    table: str
    way_out: str
    what = "{table} says that {version} has failed or was interrupted there. Nothing was run."
    why = "How much of it the tool has left in the database is not recorded, so no run can continue from there."
    remedy = "Look at what it has left, then settle the row: {way_out}. Then: {again}"


@dataclass(kw_only=True, eq=False)
class OutOfOrder(HoldfastError):
    """A migration comes before one that is already applied, and its tool would not run it."""

    versions: tuple[str, ...]
    layout: str
    exit_status = 1
    what = "Not applied, although later ones are: {versions}. Nothing was run."
    why = "{layout} applies in the order of the folder and stops here too; what came later was written without them."
    remedy = "Give them a later number, so that they come last. Then: {again}"


@dataclass(kw_only=True, eq=False)
class NoWayBack(HoldfastError):
    """A script has no part that takes it back."""

    revision: str
    layout: str
    exit_status = 2
    what = "There is no script that takes {revision} back. Nothing was reverted."
    why = "Of the layouts of SQL files only dbmate has one (-- migrate:down); this folder is {layout}."
    remedy = "Write a script that does the opposite, and apply that."


@dataclass(kw_only=True, eq=False)
class NotForScripts(HoldfastError):
    """A verb needs models or Alembic revisions."""

    verb: str
    exit_status = 2
    what = "holdfast {verb} is for an Alembic project, not for SQL scripts."
    why = "It reads the models, or writes revisions, which a folder of SQL files does not have."
    remedy = "Run it without --sql in the folder of an Alembic project: holdfast {verb}"


@dataclass(kw_only=True, eq=False)
class ScriptNotTried(HoldfastError):
    """A statement of a script fails where the script is tried, so there is no plan for it."""

    file: str
    said: str
    statement: str
    tried_on: str
    instead: str
    what = "A statement of {file} fails where the script is tried: {said}"
    why = "It was tried on {tried_on}, on the scratch server; no other database was changed. It was: {statement}"
    remedy = "Correct the script; or {instead}"
