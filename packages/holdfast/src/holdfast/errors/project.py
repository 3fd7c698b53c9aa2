"""Errors of a project: of its configuration, its history of revisions, and in loading its code."""

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_error


@light_error
class ModuleNotInstalled(HoldfastError):
    """A file of the project imports a module that the environment of holdfast does not have."""

    file: str
    module: str
    python: str
    what = "{file} imports {module}, which is not installed where holdfast runs."
    why = (
        "holdfast executes env.py and the revisions, so it needs all that they import: the project's"
        " own code and its dependencies. It runs with {python}."
    )
    remedy = (
        "Install the project beside holdfast, in its folder: {python} -m pip install . Or, if the code"
        " is only not found, name its folder: prepend_sys_path = %(here)s/src in alembic.ini, or"
        ' prepend_sys_path = ["%(here)s/src"] below [tool.alembic] in pyproject.toml'
    )


@light_error
class HoldfastFailed(HoldfastError):
    """An exception was raised outside of the project's code."""

    said: str
    python: str
    what = "This is not a fault of your project: {said}"
    why = (
        "The traceback has no line of the project: the fault is in holdfast, or a package in its environment"
        " is one that it does not work with."
    )
    remedy = (
        "See whether a package does not fit: {python} -m pip check. What is applied: holdfast status. Otherwise report"
        " the lines above to the authors of holdfast."
    )


@light_error
class UnknownConfiguration(HoldfastError):
    """No Alembic project was found where one was looked for."""

    looked_in: str
    exit_status = 2
    what = "No Alembic project found: looked in {looked_in}."
    why = (
        "A project is an alembic.ini, Flask-Migrate's migrations/alembic.ini, or a pyproject.toml with"
        " [tool.alembic] or [tool.holdfast]."
    )
    remedy = "Run in the folder of the project, or name the file: holdfast -c path/to/alembic.ini"


@light_error
class UnknownSection(HoldfastError):
    """The ini file has no section of this name."""

    file: str
    section: str
    found: tuple[str, ...]  # those that name a project
    named: str  # one of them
    exit_status = 2
    what = "{file} has no section [{section}]."
    why = "The section says where the revisions are, and often which database to use. The file has these: {found}."
    remedy = "Name the one you mean: holdfast -n {named} status"


@light_error
class NothingMigrated(HoldfastError):
    """The project's env.py came to its end without migrating anything."""

    env: str
    exit_status = 2
    what = "{env} has not called context.run_migrations() for any database."
    why = "The database of a project is the one that its env.py connects to when it migrates."
    remedy = "See what env.py requires before that: a variable, -x, or names after `databases =` in alembic.ini."


@light_error
class NoFlaskApplication(HoldfastError):
    """The env.py of Flask-Migrate needs the Flask application, which was not found."""

    env: str
    said: str
    exit_status = 2
    what = "The Flask application of {env} was not found: {said}"
    why = "That env.py takes the database and the models from the application, as `flask db` does."
    remedy = "Run where `flask db current` works, or name the application: export FLASK_APP=package:create_app"


@light_error
class TwoHeads(HoldfastError):
    """The history ends in more than one revision."""

    heads: tuple[str, ...]
    exit_status = 2
    what = "The history has more than one head: {heads}. Nothing was migrated."
    why = "Two revisions were written on top of the same one, often in two branches of the repository."
    remedy = (
        "Join them in one revision: alembic merge heads. Where all are meant to stay, give each a branch label "
        'and say so: branches = ["one", "other"] in [tool.holdfast], or branches = one other in alembic.ini. '
        "Once: holdfast run --to heads"
    )


@light_error
class WhichHead(HoldfastError):
    """A new revision could follow any of several heads."""

    heads: tuple[str, ...]
    first: str
    exit_status = 2
    what = "The history has more than one head: {heads}. Nothing was written."
    why = "A new revision follows one of them, and its file goes into the folder of that branch."
    remedy = (
        "Say which: holdfast generate NAME --head {first} (or LABEL@head, by a branch's label); if revisions are"
        " in several folders, --version-path FOLDER says in which. To join them: alembic merge heads"
    )


@light_error
class AlembicRefused(HoldfastError):
    """Alembic could not do what was asked."""

    message: str
    what = "Alembic could not do this: {message}"
    why = "The revisions of the project, or the revision that was asked for, do not fit together."
    remedy = "Look at the chain of revisions: alembic history. What is applied: holdfast status"


@light_error
class MissingRevision(HoldfastError):
    """A revision names one before it that has no file."""

    revision: str
    folder: str
    what = "Revision {revision} has no file in {folder}; nothing was migrated."
    why = "Another revision names it as the one before (down_revision or depends_on)."
    remedy = "Restore its file from version control: git log --diff-filter=D -- {folder}"


@light_error
class NotSoManyRevisions(HoldfastError):
    """A revert was asked for more revisions than are applied."""

    asked: int
    applied: int
    database: str = "this database"
    exit_status = 2
    what = "{asked} revisions were to be taken back in {database}, and only {applied} can be; none was."
    why = "A count that goes beyond the first revision may be meant for another database."
    remedy = "Take back all of them, if that is meant: holdfast revert -n {applied} (or --to base)"
