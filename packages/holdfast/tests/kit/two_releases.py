"""What the tests of two releases on one schema share."""

from contextlib import suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic_project import Project

from holdfast.errors.finish import StillInUse
from holdfast.migrate.finish import finish
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

# What is written there counts as an entry, too, at which a test can kill.
ALSO = """
    CREATE TRIGGER observe AFTER INSERT OR UPDATE OR DELETE ON holdfast.waiting
        FOR EACH STATEMENT EXECUTE FUNCTION holdfast.observe();
"""


def let_go(config: Path) -> None:
    """What a process of its own does; the writes of the old release, which is gone, are seen once."""
    with suppress(StillInUse):
        finish(Config(config), yes=True)
        return
    finish(Config(config), yes=True)


def executes(*statements: str) -> str:
    """The body of a function."""
    return "\n".join(f"op.execute({each!r})" for each in statements)


def plain_dump(shop: Project, postgres: Postgres, tmp_path: Path) -> str:
    """What plain Alembic makes of the same files."""
    with postgres.database() as url:
        plain = Project(folder=tmp_path / "plain", database=url)
        for file in (shop.folder / "versions").glob("*.py"):
            (plain.folder / "versions" / file.name).write_text(file.read_text())
        command.upgrade(plain.config, "head")
        return schema_dump(url)


def waits(shop: Project) -> list[object]:
    """What waits, by its kind and name."""
    rows = shop.query(
        "SELECT document::json ->> 'what', document::json ->> 'name' FROM holdfast.waiting ORDER BY id"
    )
    return list(rows)
