"""Databases in which a project's history has been replayed, on a scratch server: the place for tries.

The history is replayed once for each content of the revision files; what callers get are copies.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from holdfast import migrate
from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.redirection import led_to
from holdfast.scratch.server import temporary_server
from holdfast.settings import ScratchSettings

PREFIX = "holdfast_scratch"


@contextmanager
def scratch_server(*, major: int = 18) -> Iterator[Postgres]:
    """The server to try on: the one of HOLDFAST_SCRATCH_URL, or an embedded one that ends with the block."""
    with _url_of_server(major) as url:
        server = postgres_at(url, prefix=PREFIX)
        try:
            yield server
        finally:
            server.drop_templates()


@contextmanager
def _url_of_server(major: int) -> Iterator[str]:
    named = ScratchSettings().url
    if named is not None:
        yield named.get_secret_value()
        return
    with temporary_server(major=major) as server:
        yield server.url()


@contextmanager
def scratch_database(
    config: Config, *, server: Postgres, revision: tuple[str, ...] = ("heads",)
) -> Iterator[str]:
    """The URL (libpq's) of a database of its own at `revision` (one or more; "base": empty), gone after the block.

    To run the project's env.py on it: `holdfast.scratch.redirection.led_to(url, config)`.
    """
    key = (fingerprint(config), revision)
    template = server.template(key, lambda url: _replay(config, url, revision))
    with server.database(template=template) as url:
        yield url


def fingerprint(config: Config) -> str:
    """SHA-256 of env.py and of every revision file, by the names of the files."""
    script = ScriptDirectory.from_config(config)
    files = [Path(revision.path) for revision in script.walk_revisions()]
    content = hashlib.sha256()
    for file in sorted([*files, Path(script.env_py_location)]):
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()


def _replay(config: Config, url: str, revision: tuple[str, ...]) -> None:
    if revision == ("base",):
        return
    with led_to(url, config) as led:
        for each in revision:
            migrate.upgrade(led, each)
