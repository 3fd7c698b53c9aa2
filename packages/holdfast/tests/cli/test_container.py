"""The command line in a container: no HOME, nothing to write to, hardly a variable."""

import subprocess
from pathlib import Path

import forked
import pytest
from alembic_project import Project

NOWHERE = "/nonexistent"


def contained(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a container with a read-only file system runs it: temporary files and caches have no place either."""
    return forked.holdfast(
        *arguments, cwd=project.folder, env={"PATH": "/usr/bin:/bin", "TMPDIR": NOWHERE}
    )


@pytest.fixture
def image(project: Project) -> Project:
    """A project in an image."""
    project.revision("op.create_table('t', sa.Column('a', sa.Integer))", "op.drop_table('t')")
    project.revision("op.create_index('i', 't', ['a'])", "op.drop_index('i')")
    return project


def test_a_whole_life(image: Project) -> None:
    """Whatever a job in a cluster calls works, and leaves no file in the image."""
    before = files(image.folder)
    ended = [
        contained(image, *words)
        for words in (["--version"], ["status"], ["run"], ["status"], ["revert"], ["run"])
    ]
    assert [(each.returncode, each.stderr) for each in ended if "Traceback" in each.stderr] == []
    assert [each.returncode for each in ended] == [0, 1, 0, 0, 0, 0]
    assert files(image.folder) == before


def files(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if "__pycache__" not in file.parts}
