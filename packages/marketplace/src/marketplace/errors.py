"""Every error of the marketplace's command line: what happened, why, what to do now.

What the HTTP API answers is in `problems.py`.
"""

from dataclasses import dataclass

from holdfast import HoldfastError


@dataclass(kw_only=True, eq=False)
class UnusableSettings(HoldfastError):
    """A setting in the environment has a value that makes no sense."""

    reasons: str
    exit_status = 2
    what = "A setting cannot be used: {reasons}."
    why = "It comes from the environment: DATABASE_URL, or a variable MARKETPLACE_..."
    remedy = "Correct it or unset it, then start again."


@dataclass(kw_only=True, eq=False)
class UnusableDatabaseUrl(HoldfastError):
    """DATABASE_URL is not the URL of a PostgreSQL database."""

    reason: str
    exit_status = 2
    what = "DATABASE_URL cannot be used: {reason}."
    why = "The marketplace runs on PostgreSQL; the URL itself may hold a password: it is not shown."
    remedy = "DATABASE_URL=postgresql://user:password@host:5432/database ./dev up"


@dataclass(kw_only=True, eq=False)
class TwoDatabases(HoldfastError):
    """A data folder was asked for while DATABASE_URL names a database."""

    data_dir: str
    exit_status = 2
    what = "Both --data-dir and DATABASE_URL say where the data is."
    why = "--data-dir is for the embedded PostgreSQL, which DATABASE_URL replaces."
    remedy = "Leave one out, for example: env -u DATABASE_URL ./dev up --data-dir '{data_dir}'"


@dataclass(kw_only=True, eq=False)
class CannotListen(HoldfastError):
    """The address is in use, or not allowed for this process."""

    host: str
    port: int
    reason: str
    free_port: int
    what = "Cannot listen on {host} port {port}: {reason}."
    why = "That is tried before anything else: nothing was started or changed."
    remedy = "Take another port: ./dev up --port {free_port}"


@dataclass(kw_only=True, eq=False)
class DatabaseOutOfReach(HoldfastError):
    """No connection to the database could be made."""

    database: str
    reason: str
    what = "No connection to {database}: {reason}."
    why = "DATABASE_URL names it; the server, the database and the user have to exist."
    remedy = "Try it by hand: psql \"$DATABASE_URL\" -c 'SELECT 1'"


@dataclass(kw_only=True, eq=False)
class UnsupportedServer(HoldfastError):
    """The server is too old, or newer than what was tested."""

    database: str
    major: int
    exit_status = 2
    what = "{database} is on PostgreSQL {major}."
    why = "The marketplace supports PostgreSQL 15 to 18."
    remedy = "Name another server in DATABASE_URL, or unset it for an embedded PostgreSQL 18."


@dataclass(kw_only=True, eq=False)
class DatabaseRefused(HoldfastError):
    """The database refused a statement."""

    database: str
    sqlstate: str
    reason: str
    what = "{database} refused a statement ({sqlstate}): {reason}."
    why = "The marketplace needs its schema, with every migration, and a user who may use it."
    remedy = "Correct that (`./dev up` migrates) and start again; what is done is not done twice."


@dataclass(kw_only=True, eq=False)
class UnusableAccount(HoldfastError):
    """The given values cannot become an account."""

    reason: str
    exit_status = 2
    what = "No administrator was made: {reason}."
    why = "An account needs an e-mail address, and a password of the length that the settings ask for."
    remedy = "marketplace create-admin somebody@example.com"


@dataclass(kw_only=True, eq=False)
class AccountDisabled(HoldfastError):
    """The account that was named is disabled."""

    email: str
    exit_status = 1
    what = "{email} is disabled: nothing was changed."
    why = "An administrator has disabled it; to make it one would not let anybody log in."
    remedy = "Enable it first (POST /admin/users/ID/enable), or choose another address."


@dataclass(kw_only=True, eq=False)
class NoDatabase(HoldfastError):
    """The application was started by itself, without DATABASE_URL."""

    exit_status = 2
    what = "DATABASE_URL is not set."
    why = "The application alone starts no database; `marketplace up` does."
    remedy = "Set it, or start everything at once: ./dev up"


@dataclass(kw_only=True, eq=False)
class NotACluster(HoldfastError):
    """The database to be placed is not on the coordinator of a Citus cluster."""

    lacks: str
    exit_status = 2
    what = "This database cannot be placed: {lacks}."
    why = "`marketplace place` divides the database that is on the coordinator of a Citus cluster among its workers."
    remedy = "Name that database: marketplace place --citus postgresql://…; docs/scale.md says how to make one."


@dataclass(kw_only=True, eq=False)
class NotReadyToPlace(HoldfastError):
    """The schema of the database to be placed is not the one that this release knows."""

    why_not: str
    way: str
    exit_status = 3
    what = "Nothing was placed: {why_not}."
    why = "What is divided has to be the schema of this release, and nobody else's."
    remedy = "Run it, and then this again: {way}"
