"""A column on its way: model, generate, check, plan, run, revert, in a copy of the marketplace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

import marketplace
from holdfast.scratch.databases import Postgres
from marketplace import schema

COLUMN = "    weight_in_grams: Mapped[int | None]\n"


class Copy:
    """The marketplace in a folder of its own, and a database for it."""

    def __init__(self, folder: Path, url: str, postgres: Postgres) -> None:
        self.package = folder / "marketplace"
        shutil.copytree(Path(marketplace.__file__).parent, self.package)
        (folder / "pyproject.toml").write_text(
            '[tool.holdfast]\nscript_location = "marketplace:migrations"\n'
            'file_template = "%(slug)s"\n'
        )
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "DATABASE_URL": url,
            "HOLDFAST_SCRATCH_URL": postgres.url("postgres"),
        }

    def holdfast(self, *arguments: str) -> tuple[int, str]:
        """Exit status and result."""
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "holdfast", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return ended.returncode, ended.stdout + ("" if ended.returncode in (0, 1) else ended.stderr)

    def add_column(self) -> None:
        """As a developer would."""
        file = self.package / "entities" / "variant.py"
        anchor = "    created_at: Mapped[Now]\n"
        file.write_text(file.read_text().replace(anchor, anchor + COLUMN))


@pytest.fixture
def shop_copy(tmp_path: Path, migrated: Engine, postgres: Postgres) -> Copy:
    """On a database at the head."""
    url = migrated.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return Copy(tmp_path, url, postgres)


def test_a_column_on_its_way(shop_copy: Copy) -> None:
    """generate writes it, check fails before and passes after, plan shows it, run applies, revert takes it back."""
    shop_copy.add_column()
    head = schema.known_revisions()[0]
    status, found = shop_copy.holdfast("check", "--since", head)
    assert (status, found.splitlines()[-1]) == (1, "found 1")
    assert shop_copy.holdfast("generate", "add weight")[0] == 0
    written = shop_copy.package / "migrations" / "versions" / "add_weight.py"
    assert "sa.Column('weight_in_grams', sa.Integer(), nullable=True)" in written.read_text()
    assert shop_copy.holdfast("check", "--since", head) == (0, "nothing found\n")
    status, plan = shop_copy.holdfast("plan")
    assert (status, plan.splitlines()[1:]) == (
        0,
        [
            "  1. ALTER TABLE variants ADD COLUMN weight_in_grams INTEGER",
            "     locks: ACCESS EXCLUSIVE on public.variants (blocks reads and writes)",
        ],
    )
    assert shop_copy.holdfast("run")[1].startswith("applied 1: ")
    assert shop_copy.holdfast("revert")[1].startswith("reverted 1: ")
