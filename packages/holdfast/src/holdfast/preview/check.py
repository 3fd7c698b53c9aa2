"""The gate for CI: finds what is wrong with a history without anybody's database.

One head; models and migrations agree; up, down, up ends in the same schema; every statement has an online form or
an exemption that still holds. With a database at hand: no applied file was edited.
"""

import difflib
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from holdfast.errors import HoldfastError
from holdfast.errors.database import NoModels
from holdfast.errors.migration import EditedRevision
from holdfast.errors.project import TwoHeads
from holdfast.errors.scratch import HistoryNotReplayed, ModelsNotCreated, ScratchRefused
from holdfast.errors.statement import NeedsFinish, RefusedStatement
from holdfast.migrate.databases import only
from holdfast.migrate.finish import finish
from holdfast.migrate.history_files import has_way_back, open_history, surplus_heads
from holdfast.migrate.plain_alembic import take_back_plainly, upgrade_plainly
from holdfast.migrate.project_connection import databases_of
from holdfast.migrate.run import upgrade
from holdfast.migrate.sql.source import sql_source
from holdfast.migrate.status import statuses
from holdfast.preview.forecast import forecasts
from holdfast.preview.generate import difference
from holdfast.preview.trial import Trial
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.observer import observing
from holdfast.scratch.redirection import redirected_to
from holdfast.scratch.template import scratch_database, scratch_server

RULES = {
    "one-head": "The history ends in one revision.",
    "replays": "The history can be replayed on an empty database.",
    "models": "Models and migrations agree.",
    "reversible": "Up, down and up again ends in the same schema.",
    "online": "Every statement has an online form, or an exemption whose day has not passed.",
    "releases": "Nothing goes that the running release may use (a warning: it may be gone).",
    "unedited": "The files of applied revisions are those that ran.",
    "disk": "What is pending fits on the disk.",
}
BEGINS = "It passes in one run from an empty database, and fails in a run that begins later."
SHOWN = 20  # lines of a difference
# The first line of upgrade and downgrade, in an Alembic revision or a dbmate file.
LINE_OF = {
    "upgrade": r"\s*def upgrade\b|--\s*migrate:up\b",
    "downgrade": r"\s*def downgrade\b|--\s*migrate:down\b",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFinding:
    """One thing that is wrong, and where."""

    rule: str
    message: str
    file: Path
    line: int = 1
    revision: str | None = None
    is_warning: bool = False  # it may be meant: no reason to fail


def check(
    config: Config, *, since: str | None = None, with_database: bool = False
) -> tuple[CheckFinding, ...]:
    """Find all problems of the history; for rules about revisions only those after `since`."""
    script = open_history(config)
    env = Path(script.env_py_location)
    found = list(_one_head(script, config))
    with scratch_server() as server:
        try:
            for database, each in _databases(config, server):
                found.extend(_named(database, _of_database(each, script, server, since)))
            found += _models(config, server, env)
        except HistoryNotReplayed as error:  # and then nothing can be said about what is behind it
            is_first = error.revision == _first(script)
            words = f"{error.said}\n{error.remedy}" if is_first else error.said
            found.append(_finding(script, error.revision, "replays", words))
    if with_database:
        found += _edited(config, script)
        found += _too_large(config, script) if all(f.rule != "replays" for f in found) else []
    return tuple(found)


def _databases(config: Config, server: Postgres) -> tuple[tuple[str | None, Config], ...]:
    """Give the project for each of its databases, with a name if there are several."""
    with server.database() as url, redirected_to(url, config) as redirected:
        databases = databases_of(redirected)
    if len(databases) == 1:
        return ((None, config),)
    return tuple((each.name, only(config, each)) for each in databases)


def _of_database(
    config: Config, script: ScriptDirectory, server: Postgres, since: str | None
) -> Iterator[CheckFinding]:
    failed: set[str | None] = set()
    for finding in _online(config, script, server, since):
        yield finding
        failed |= {finding.revision} if finding.rule == "replays" else set()
    yield from _reversible(config, script, server, since, failed)


def _named(database: str | None, found: Iterator[CheckFinding]) -> Iterator[CheckFinding]:
    for each in found:
        words = each.message if database is None else f"database {database}: {each.message}"
        yield replace(each, message=words)


def _one_head(script: ScriptDirectory, config: Config) -> Iterator[CheckFinding]:
    if heads := surplus_heads(script, config):
        remedy = TwoHeads(heads=heads).parts()[2]
        words = f"the history has {len(heads)} heads: {', '.join(heads)}. {remedy}"
        yield CheckFinding(rule="one-head", message=words, file=_file(script, heads[-1]))


# Every statement online: the history through the engine, each table in use; a refused revision then runs plainly.


def _online(
    config: Config, script: ScriptDirectory, server: Postgres, since: str | None
) -> Iterator[CheckFinding]:
    """Give the refusals that `plan` would have, for each revision from `since` on. Raises HistoryNotReplayed."""
    start, said = since or _begins_at(config, script), ""
    while start is not None:
        with scratch_database(config, server=server, revision=(start,)) as url:
            if said:
                yield _finding(script, start, "replays", f"{said}\n{BEGINS}")
            start, said = yield from _through(config, script, url)


def _through(
    config: Config, script: ScriptDirectory, url: str
) -> Generator[CheckFinding, None, tuple[str | None, str]]:
    """Run to the head; give the revision that failed, to continue after it, and what PostgreSQL said."""
    with observing(url) as observer:
        listener = Trial(sizes={}, observer=observer)
        ended = yield from _to_the_head(config, script, url, listener)
        listener.seen = observer.seen()
    for revision, refusal in listener.bodies_under_lock():
        yield _finding(script, revision, "online", refusal)
    for revision, words in listener.bodies_that_hold_rows():
        yield replace(_finding(script, revision, "online", words), is_warning=True)
    for revision, found in listener.taken_away():
        words = "\n".join(f"breaks the running release: {each}" for each in found)
        yield replace(_finding(script, revision, "releases", words), is_warning=True)
    return ended


def _to_the_head(
    config: Config, script: ScriptDirectory, url: str, listener: Trial
) -> Generator[CheckFinding, None, tuple[str | None, str]]:
    finished: set[tuple[str, str]] = set()  # for which revision, and of which one
    while True:
        before = len(listener.started)
        try:
            # Each time anew: after an error, an async engine of the project's is of a loop that is gone.
            with redirected_to(url, config) as redirected:
                upgrade(redirected, "heads", report=listener)
        except NeedsFinish as refusal:
            revision = listener.started[-1].revision
            if not refusal.revision or (revision, refusal.revision) in finished:
                yield _finding(script, revision, "online", str(refusal))
                return revision, ""
            # As a team would between two deployments.
            finished.add((revision, refusal.revision))
            with redirected_to(url, config) as redirected:
                finish(redirected, yes=True)
        except RefusedStatement as refusal:
            revision = listener.started[-1].revision
            yield _finding(script, revision, "online", str(refusal), place=refusal.place)
            if refusal.is_half_way:  # this database has a part of it: another one for the rest
                return revision, ""
            try:
                with redirected_to(url, config) as redirected:
                    upgrade_plainly(redirected, revision)
            except (CommandError, ScratchRefused):  # what came before in it is committed
                return revision, ""
        except (HoldfastError, CommandError) as error:
            if len(listener.started) == before:
                raise
            revision = listener.started[-1].revision
            return revision, _words(error)
        else:
            return None, ""


# Up, down, up: by plain Alembic, which takes a statement as it is written.


def _reversible(
    config: Config,
    script: ScriptDirectory,
    server: Postgres,
    since: str | None,
    failed: set[str | None],
) -> Iterator[CheckFinding]:
    left = [each for each in _after(script, since) if has_way_back(_script(script, each))]
    while left:  # after a failure the database is anybody's guess: a new one for the rest
        if left[0] in failed:
            left.pop(0)
            continue
        below = _below(script, left[0])
        with (
            scratch_database(config, server=server, revision=below) as url,
            redirected_to(url, config) as redirected,
        ):
            until = next((n for n, each in enumerate(left) if each in failed), len(left))
            behind = yield from _there_and_back(redirected, script, url, left[:until])
            left = behind + left[until:]


def _there_and_back(
    config: Config, script: ScriptDirectory, url: str, revisions: list[str]
) -> Generator[CheckFinding, None, list[str]]:
    for place, revision in enumerate(revisions, start=1):
        fails = "up"
        try:
            upgrade_plainly(config, revision)
            first = schema_dump(url)
            fails = "down"
            take_back_plainly(config, revision)
            fails = "up again"
            upgrade_plainly(config, revision)
        except Exception as error:  # noqa: BLE001  # whatever the author raises in a downgrade
            words = f"{fails} fails: {_words(error)}"
            yield _finding(script, revision, "reversible", words, line_of="downgrade")
            return revisions[place:]
        second = schema_dump(url)
        if changed := _changes(_in_any_order(first), _in_any_order(second)):
            changes = "\n".join(changed[:SHOWN])
            words = f"up, down and up again differs from up:\n{changes}"
            yield _finding(script, revision, "reversible", words, line_of="downgrade")
    return []


def _in_any_order(dump: str) -> list[str]:
    """Sort the lines of a schema: a column that comes back is the last of its table, which is no difference."""
    return [
        line
        for statement in dump.split("\n\n")
        for line in sorted(line.removesuffix(",") for line in statement.splitlines())
    ]


def _changes(first: list[str], second: list[str]) -> list[str]:
    lines = difflib.unified_diff(first, second, lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _models(config: Config, server: Postgres, env: Path) -> Iterator[CheckFinding]:
    if sql_source(config) is not None:
        return
    try:
        lines = difference(config, server=server).lines
    except NoModels:
        return
    except ModelsNotCreated as error:
        yield CheckFinding(rule="models", message=str(error), file=env)
        return
    if lines:
        words = ["the models have what no migration has; `holdfast generate NAME` writes:", *lines]
        yield CheckFinding(rule="models", message="\n".join(words), file=env)


def _edited(config: Config, script: ScriptDirectory) -> list[CheckFinding]:
    return [
        _finding(
            script, each.revision, "unedited", EditedRevision(revisions=(each.revision,)).parts()[0]
        )
        for each in dict.fromkeys(one for found in statuses(config) for one in found.edited)
    ]


def _too_large(config: Config, script: ScriptDirectory) -> list[CheckFinding]:
    """Find what is pending and does not fit on the disk of the database itself."""
    if not any(found.pending for found in statuses(config)):
        return []
    return [
        _finding(script, revision.revision, "disk", revision.refusal or "")
        for found in forecasts(config, patience_with_rows=timedelta())
        for revision in found.revisions
        if revision.lacks_disk
    ]


# Finding revisions and their files.


def _after(script: ScriptDirectory, since: str | None) -> list[str]:
    """Give the revisions after one, in the order in which they run."""
    until = since or "base"
    found = [each.revision for each in script.walk_revisions(until, "heads")]
    return [revision for revision in reversed(found) if revision != since]


def _begins_at(config: Config, script: ScriptDirectory) -> str | None:
    """Give the revision that stands for the start: the first one makes what is there, a script finds it."""
    source = sql_source(config)
    return "base" if source is not None and source.is_without_history else _first(script)


def _first(script: ScriptDirectory) -> str | None:
    found = list(script.walk_revisions())
    return found[-1].revision if found else None


def _below(script: ScriptDirectory, revision: str) -> tuple[str, ...]:
    found = _script(script, revision).down_revision
    if found is None:
        return ("base",)
    return (found,) if isinstance(found, str) else tuple(found)


def _script(script: ScriptDirectory, revision: str) -> Script:
    found = script.get_revision(revision)
    assert found is not None  # noqa: S101  # it was listed a moment ago
    return found


def _file(script: ScriptDirectory, revision: str) -> Path:
    return Path(_script(script, revision).path)


def _finding(
    script: ScriptDirectory,
    revision: str,
    rule: str,
    message: str,
    *,
    line_of: str = "upgrade",
    place: str | None = None,
) -> CheckFinding:
    file = _file(script, revision)
    lines = file.read_text().splitlines()
    pattern = re.compile(LINE_OF[line_of])
    line = next((n for n, text in enumerate(lines, start=1) if pattern.match(text)), 1)
    line = line if place is None else int(place.rpartition(":")[2])
    words = f"revision {revision}: {message}"
    return CheckFinding(rule=rule, message=words, file=file, line=line, revision=revision)


def _words(error: Exception) -> str:
    if isinstance(error, DBAPIError):
        return str(error.orig).strip()
    if isinstance(error, ScratchRefused):
        return error.said
    return str(error) or type(error).__name__
