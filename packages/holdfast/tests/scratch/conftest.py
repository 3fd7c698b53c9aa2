"""Folders that the server's user can reach: pytest's own `tmp_path` is closed to others."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.scratch.folder import fast_folder
from holdfast.scratch.guardian import remove
from holdfast.scratch.server import EmbeddedServer


@contextmanager
def reachable_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="holdfast-test-", dir=fast_folder()) as name:
        Path(name).chmod(0o711)
        yield Path(name).resolve()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Empty, and open for the user whom PostgreSQL runs as."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def new_dir(folder: Path) -> Iterator[Path]:
    """A name for a data folder; what a test leaves running there ends."""
    yield folder / "data"
    remove(folder / "data")


@pytest.fixture(scope="session")
def stopped() -> Iterator[Path]:
    """The data folder of a server that is down."""
    with reachable_folder() as folder:
        with EmbeddedServer(folder / "data"):
            pass
        yield folder / "data"


@pytest.fixture
def data_dir(new_dir: Path, stopped: Path) -> Path:
    """A copy of that: initdb takes longer than most of the tests."""
    subprocess.run(["cp", "-a", stopped, new_dir], check=True)
    return new_dir
