"""A temporary server of a PostgreSQL that is installed on the machine: of 15 and 17 there is no embedded one."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from holdfast.scratch import server
from holdfast.scratch.server import EmbeddedServer, temporary_server

EMBEDDED = (16, 18)
INSTALLATION = click.option(
    "--installation",
    "installations",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="The folder above bin/ of an installed PostgreSQL, to be taken instead of the embedded 16 and 18.",
)


def servers_of(
    installations: Iterable[Path], *, majors: Iterable[int] = EMBEDDED
) -> Iterator[tuple[int, EmbeddedServer]]:
    """One server after the other: of each installation, or else of each of these embedded majors."""
    for major in [_installed(each) for each in installations] or majors:
        with temporary_server(major=major) as running:
            yield major, running


def _installed(folder: Path) -> int:
    """Its major version, from now on to be had like an embedded one."""
    said = subprocess.check_output([folder / "bin" / "postgres", "--version"], text=True)
    found = re.search(r"\d+", said)
    assert found is not None, said
    major = int(found[0])
    server.INSTALLED = {**server.INSTALLED, major: str(folder)}  # type: ignore[assignment]  # a proof's own
    return major
