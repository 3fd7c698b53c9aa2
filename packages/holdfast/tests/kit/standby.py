"""A streaming standby of an embedded server, made with pg_basebackup."""

import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from backends import wait_until

from holdfast.scratch.folder import fast_folder
from holdfast.scratch.guardian import guarded
from holdfast.scratch.server import (
    ENVIRONMENT,
    TEMPORARY,
    EmbeddedServer,
    binary,
    temporary_server,
)


class StandbyServer(EmbeddedServer):
    """Begins with a copy of the primary, and follows it."""

    def __init__(self, data_dir: Path, *, primary: str, settings: Mapping[str, str]) -> None:
        super().__init__(data_dir, settings=settings)
        self._primary = primary

    def _make_pgdata(self) -> None:
        """The copy, in the place of initdb's work."""
        command = [binary("pg_basebackup"), "-d", self._primary, "-R", "-X", "stream", "-c", "fast"]
        with self._folder.new_pgdata() as new:
            subprocess.run(
                [*command, "--no-sync", "-D", new],
                check=True,
                capture_output=True,
                cwd="/",
                env=ENVIRONMENT,
                **self._folder.user.run_as,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A primary and its standby."""

    primary: EmbeddedServer
    standby: StandbyServer

    def wait_for_replay(self) -> None:
        """Returns when the standby has replayed all that the primary has written until now."""
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")  # which flushes what was not waited for
            [lsn] = connection.execute("SELECT pg_current_wal_lsn()").fetchone() or [None]
        with psycopg.connect(self.standby.url(), autocommit=True) as connection:
            passed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            wait_until(
                lambda: (connection.execute(passed, [lsn]).fetchone() or [False])[0],
                what="the standby",
            )


@contextmanager
def streaming_pair(
    settings: Mapping[str, str] | None = None, *, of_primary: Mapping[str, str] | None = None
) -> Iterator[Pair]:
    """Both run for the block; `settings` are those of the standby."""
    folder = fast_folder().resolve() / f"holdfast-{secrets.token_hex(8)}"
    with (
        temporary_server(settings={"wal_keep_size": "64MB", **(of_primary or {})}) as primary,
        guarded(folder),
        StandbyServer(
            folder,
            primary=primary.url(),
            settings={**TEMPORARY, "hot_standby_feedback": "on", **(settings or {})},
        ) as standby,
    ):
        yield Pair(primary=primary, standby=standby)
