"""What a package index shows of holdfast and what an installer gets is complete and true."""

import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    builder = WheelBuilder(str(PACKAGE))
    [file] = builder.build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"])
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(read(wheel, ".dist-info/METADATA"))


def read(wheel: zipfile.ZipFile, ending: str) -> str:
    [name] = [name for name in wheel.namelist() if name.endswith(ending)]
    return wheel.read(name).decode()


def test_what_the_index_shows(metadata: Message) -> None:
    """Who, what, under which licence; and no address, as there is none."""
    assert metadata["Author"] == "holdfast maintainers"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Project-URL"] is None
    assert set(metadata.get_all("Provides-Extra", [])) == {"asyncpg", "otel", "psycopg2", "scratch"}


def test_what_is_installed(wheel: zipfile.ZipFile) -> None:
    """Every file of the source, the mark of a typed package, the licence, the command and the pytest plugin."""
    source = PACKAGE / "src"
    files = [
        file for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    ]
    assert {str(file.relative_to(source)) for file in files} <= set(wheel.namelist())
    assert "holdfast/py.typed" in wheel.namelist()
    assert read(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert read(wheel, "entry_points.txt").split() == [
        *("[console_scripts]", "holdfast", "=", "holdfast.cli:main"),
        *("[pytest11]", "holdfast", "=", "holdfast.testing"),
    ]


def test_readme_stands_alone() -> None:
    """It leads nowhere: on an index, a link into the repository would be dead."""
    assert re.findall(r"\]\(|<img|https?://", (PACKAGE / "README.md").read_text()) == []


def test_version(metadata: Message) -> None:
    """`holdfast --version` says the version of the package."""
    said = subprocess.run(
        [sys.executable, "-m", "holdfast", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert said.stdout == f"holdfast, version {metadata['Version']}\n"


def test_changelog() -> None:
    """The form of Keep a Changelog: a section a version, the newest first, and in it only the six kinds of change."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    sections = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[[\d.]+\] - \d{4}-\d\d-\d\d", each) for each in sections[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", changelog, re.MULTILINE)) <= kinds
