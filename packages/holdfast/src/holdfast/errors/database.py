"""Errors that keep a process from starting on a database."""

from dataclasses import dataclass
from datetime import timedelta

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class EnvironmentMismatch(HoldfastError):
    """A process of one environment was pointed at a database of another."""

    process: str
    stamped: str
    database: str
    exit_status = 2
    what = "A {process} process was pointed at the {stamped} database {database}."
    why = "The database was stamped {stamped} at its first start; neither side is allowed to mix."
    remedy = (
        "Correct HOLDFAST_PROFILE or the database URL. If the database really changed sides (a copy, "
        "a restored backup), say so in it: UPDATE holdfast.environment SET profile = '{process}';"
    )


@dataclass(kw_only=True, eq=False)
class MigrationsNotApplied(HoldfastError):
    """Another process was to migrate; it did not, or not far enough, within the wait."""

    expected: str
    found: str
    waited: timedelta
    what = "The database is at {found}, this code needs {expected}; waited {waited}."
    why = "HOLDFAST_MIGRATE_ON_START=wait leaves the migrations to another process."
    remedy = "Look at that process, or run them now: holdfast run"


@dataclass(kw_only=True, eq=False)
class NoMigrationsFolder(HoldfastError):
    """Migrations are wanted at the start, and no setting says where they are."""

    migrate_on_start: str
    exit_status = 2
    what = "HOLDFAST_MIGRATE_ON_START={migrate_on_start}, and there are no migrations to run."
    why = "HOLDFAST_MIGRATIONS names no package or folder."
    remedy = "Set it, for example HOLDFAST_MIGRATIONS=shop:migrations, or set HOLDFAST_MIGRATE_ON_START=off."


@dataclass(kw_only=True, eq=False)
class NotDisposable(HoldfastError):
    """A verb for development was called on another kind of database."""

    verb: str
    database: str
    found: str
    allowed: tuple[str, ...]
    exit_status = 2
    what = "holdfast {verb} did nothing: the database {database} is {found}."
    why = "It may destroy data, so it works only on databases of these profiles: {allowed}."
    remedy = (
        "Look at which database the project is connected to. If it is yours to lose and not stamped: "
        "HOLDFAST_PROFILE=development holdfast {verb}"
    )


@dataclass(kw_only=True, eq=False)
class NotConfirmed(HoldfastError):
    """A destructive verb was called where nobody can be asked, or the answer was no."""

    verb: str
    loses: tuple[str, ...]
    exit_status = 2
    what = "holdfast {verb} did nothing: nobody confirmed that this is lost: {loses}."
    why = "It asks on a terminal; this is not one, or the answer was no."
    remedy = "To do it without being asked: holdfast {verb} --yes"


@dataclass(kw_only=True, eq=False)
class NoModels(HoldfastError):
    """env.py does not say which models the database is for."""

    file: str
    exit_status = 2
    what = "There are no models to compare the database with: {file} gives no target_metadata to Alembic."
    why = "Models and migrations are compared table by table; the models are those of target_metadata."
    remedy = "In env.py: context.configure(..., target_metadata=Base.metadata)"
