"""Errors in loading the code of a project."""

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
