"""Finds the layout of a folder of SQL files by what is in it, or takes the one that is named."""

import re
from pathlib import Path

from holdfast.errors.sql import FolderNotUnderstood
from holdfast.migrate.sql import dbmate, drizzle, flyway, numbered, prisma
from holdfast.migrate.sql.dbmate import Dbmate
from holdfast.migrate.sql.drizzle import Drizzle
from holdfast.migrate.sql.flyway import Flyway
from holdfast.migrate.sql.layout import Layout
from holdfast.migrate.sql.numbered import Numbered
from holdfast.migrate.sql.prisma import Prisma
from holdfast.migrate.sql.single_script import SingleScript

# The layouts by the names that --layout takes.
LAYOUTS: dict[str, Layout] = {
    "dbmate": Dbmate(),
    "flyway": Flyway(),
    "prisma": Prisma(),
    "drizzle": Drizzle(),
    "numbered": Numbered(),
}


def find_layout(path: Path, *, named: str | None = None) -> Layout:
    """Give the layout of a file or folder. Raises FolderNotUnderstood."""
    if path.is_file():
        return SingleScript()
    if named is not None:
        return LAYOUTS[named]
    found = [name for name in LAYOUTS if name in _signs(path)]
    if len(found) != 1:
        raise FolderNotUnderstood(path=str(path), found=_in_words(path, found))
    return LAYOUTS[found[0]]


def _signs(path: Path) -> set[str]:
    """Give the layouts that the files' names suggest; for numbered files their first lines count, too."""
    entries = sorted(path.iterdir())
    names = [each.name for each in entries if each.is_file()]
    found: set[str] = set()
    if (path / drizzle.JOURNAL).is_file():
        return {"drizzle"}
    if any((each / prisma.SCRIPT).is_file() for each in entries if each.is_dir()):
        found.add("prisma")
    if any(flyway.VERSIONED.fullmatch(name) for name in names):
        found.add("flyway")
    scripts = [each for each in entries if each.is_file() and numbered.FILE.fullmatch(each.name)]
    if any(dbmate.UP.search(each.read_text(errors="replace")) for each in scripts):
        found.add("dbmate")
    elif scripts:
        found.add("numbered")
    return found


def _in_words(path: Path, found: list[str]) -> str:
    if found:
        return f"it looks like {' and '.join(found)} at the same time"
    inside = [each.name for each in path.iterdir() if each.is_dir() and _signs(each)]
    if inside:
        return f"but {inside[0]} in it is"
    names = sorted(each.name for each in path.iterdir() if not re.match(r"\.", each.name))
    return (
        f"it has {', '.join(names[:4])}{' ..' if len(names) > 4 else ''}"
        if names
        else "it is empty"
    )
