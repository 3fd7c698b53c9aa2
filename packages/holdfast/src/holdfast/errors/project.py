"""Why the code of a project cannot be loaded."""

from dataclasses import dataclass

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class ModuleNotInstalled(HoldfastError):
    """A file of the project imports a module that the environment of holdfast does not have."""

    file: str
    module: str
    python: str
    what = "{file} imports {module}, which is not installed where holdfast runs."
    why = (
        "holdfast executes env.py and the revisions, so it needs all that they import: the project's"
        " own code and its dependencies. It runs in {python}."
    )
    remedy = (
        "Install the project beside holdfast, in its folder: {python} -m pip install . Or, if the code"
        " is only not found, name its folder in alembic.ini: prepend_sys_path = src"
    )
