"""The tools that are measured: how each is started, and what it needs to know of the tables that are there already."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from environments import PEERS, node_environment, python_environment

OURS, NONE, IDEAL, ALEMBIC = "ours", "none", "ideal", "alembic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command that applies the change set; `adopt` records beforehand that the tables exist."""

    name: str
    command: tuple[str, ...] = ()  # none: nothing is changed
    folder: Path = PEERS
    adopt: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def _none() -> Tool:
    return Tool(name=NONE)


def _ours() -> Tool:
    here = Path(sys.executable).parent
    return Tool(
        name=OURS,
        command=(str(here / "holdfast"), "run"),
        folder=PEERS / "alembic_project",
        adopt=(str(here / "alembic"), "stamp", "--purge", "0001"),
    )


def _ideal() -> Tool:
    return Tool(
        name=IDEAL,
        command=(sys.executable, str(PEERS / "ideal.py")),
    )


def _alembic() -> Tool:
    folder = PEERS / "alembic_project"
    alembic = str(
        python_environment("alembic", requirements=folder / "requirements.txt") / "alembic"
    )
    return Tool(
        name=ALEMBIC,
        command=(alembic, "upgrade", "head"),
        folder=folder,
        adopt=(alembic, "stamp", "--purge", "0001"),
    )


def _django() -> Tool:
    folder = PEERS / "django_project"
    python = python_environment("django", requirements=folder / "requirements.txt") / "python"
    migrate = (str(python), "manage.py", "migrate")
    return Tool(
        name="django",
        command=(*migrate, "shop"),
        folder=folder,
        adopt=(*migrate, "--fake", "shop", "0001"),
    )


def _zero_downtime() -> Tool:
    django = _django()
    return Tool(
        name="django-zdm",
        command=django.command,
        folder=django.folder,
        adopt=django.adopt,
        environment={"SHOP_ENGINE": "django_zero_downtime_migrations.backends.postgres"},
    )


def _typeorm() -> Tool:
    folder = node_environment("typeorm", source=PEERS / "typeorm")
    return Tool(
        name="typeorm",
        command=("node", "node_modules/typeorm/cli.js", "migration:run", "-d", "datasource.js"),
        folder=folder,
    )


def has_changes(name: str, changes: str) -> bool:
    """Whether the tool has this change set; every one has the shop's own, which has no name."""
    by_hand = name == IDEAL and (PEERS / f"ideal_{changes}.py").exists()
    return not changes or by_hand or name in (NONE, OURS, ALEMBIC)


def with_changes(tool: Tool, changes: str) -> Tool:
    """The tool with another change set in the place of the shop's."""
    if tool.name == NONE or not changes:
        return tool
    if tool.name == IDEAL:
        return replace(tool, command=(sys.executable, str(PEERS / f"ideal_{changes}.py")))
    return replace(tool, folder=PEERS / f"alembic_{changes}")


TOOLS: Mapping[str, Callable[[], Tool]] = {
    NONE: _none,
    IDEAL: _ideal,
    OURS: _ours,
    "django-zdm": _zero_downtime,
    ALEMBIC: _alembic,
    "django": _django,
    "typeorm": _typeorm,
}
# In the order of the tables.
TITLES = {
    NONE: "no change",
    IDEAL: "SQL by hand: the limit",
    OURS: "holdfast, on Alembic's files",
    "django-zdm": "Django, zero-downtime backend",
    ALEMBIC: "Alembic",
    "django": "Django",
    "typeorm": "TypeORM",
}
