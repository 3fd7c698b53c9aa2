"""What a run's caller has asked for, and what the settings say about the run."""

import os
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from alembic.config import Config

from holdfast.engine.variables import DOTENV, says_something
from holdfast.errors.light_dataclass import light_dataclass
from holdfast.execute.progress import Report

if TYPE_CHECKING:
    from holdfast.execute.pooler_console import PoolerConsole

ON_SCRATCH = "holdfast_on_scratch"  # in Config.attributes: nothing beside the database has to do with this run
IN_USE = (
    "holdfast_in_use"  # in Config.attributes: the database counts as used, though nothing is in it
)


@light_dataclass
class BesideUsers:
    """The settings for work on a database that somebody uses."""

    rows_per_second: int | None  # of a backfill
    slot_wal: int  # bytes that a replication slot may keep before a backfill pauses
    build_workers: int  # of the server, besides the one that builds an index
    free_disk: int | None  # in bytes, as somebody has said
    standbys: tuple[str, ...]  # their URLs
    console: "PoolerConsole | None"  # of the pooler of the applications
    has_users: bool = True  # a scratch database has none


@light_dataclass
class RunOptions:
    """The options that are the same for all revisions of a run."""

    report: Report
    patience: timedelta  # with another migrator
    lock_budget: timedelta
    should_stop: Callable[[], bool]  # between two steps
    must_stop: Callable[[], bool]  # inside one
    should_pause: Callable[[], bool]
    beside_users: Callable[[], BesideUsers]
    looks_for_edits: bool = False
    accepts_edits: bool = False
    counts_as_used: bool = (
        False  # the scratch database of one with tables that no revision has made
    )
    expand: bool = False  # two releases run on it: what the old one needs waits for `finish`


def settings_beside_users(
    config: Config, *, report: Report, free_disk: int | None = None
) -> Callable[[], BesideUsers]:
    """Read the settings once they are needed, not for an empty database; `free_disk` overrides theirs.

    At once where a variable is set: a wrong one is refused before anything runs.
    """

    @cache
    def read() -> BesideUsers:
        from holdfast.engine.settings import (  # loads pydantic
            BackfillSettings,
            BuildSettings,
            DiskSettings,
            StandbySettings,
        )

        backfill = BackfillSettings()
        return BesideUsers(
            rows_per_second=backfill.rows_per_second,
            slot_wal=backfill.slot_wal,
            build_workers=BuildSettings().workers,
            free_disk=DiskSettings().disk if free_disk is None else free_disk,
            # On a scratch database nobody reads, and nobody's readers are asked.
            standbys=() if ON_SCRATCH in config.attributes else StandbySettings().urls(),
            console=console_of(config, report=report),
            has_users=ON_SCRATCH not in config.attributes,
        )

    if says_something(os.environ, file=DOTENV):
        read()
    return read


def console_of(config: Config, *, report: Report) -> "PoolerConsole | None":
    """Give the pooler's admin console, if one is named; none for a scratch database."""
    from holdfast.engine.settings import PoolerSettings  # loads pydantic
    from holdfast.execute.pooler_console import PoolerConsole

    url = None if ON_SCRATCH in config.attributes else PoolerSettings().pooler_admin_url
    return None if url is None else PoolerConsole(url=url.get_secret_value(), report=report)
