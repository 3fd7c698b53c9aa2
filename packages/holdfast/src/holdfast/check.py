"""The gate for CI: what is wrong with a history, found without a database of anybody.

One head; models and migrations agree; up, down, up ends in the same schema; every statement has an online form or
an excuse that still holds. With a database at hand: no applied file was edited.
"""

import difflib
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from holdfast import migrate
from holdfast.errors import HoldfastError
from holdfast.errors.migration import EditedRevision
from holdfast.errors.plan import RefusedStatement
from holdfast.errors.scratch import NoModels
from holdfast.generate import difference
from holdfast.history_files import open_history
from holdfast.progress import Event, RevisionStarted
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.redirection import led_to
from holdfast.scratch.template import scratch_database, scratch_server
from holdfast.status import status

RULES = {
    "one-head": "The history ends in one revision.",
    "replays": "The history can be replayed on an empty database.",
    "models": "Models and migrations agree.",
    "reversible": "Up, down and up again ends in the same schema.",
    "online": "Every statement has an online form, or an excuse whose day has not passed.",
    "unedited": "The files of applied revisions are those that ran.",
}
SHOWN = 20  # lines of a difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and where."""

    rule: str
    message: str
    file: Path
    line: int = 1


def check(
    config: Config, *, since: str | None = None, with_database: bool = False
) -> tuple[Finding, ...]:
    """Everything that was found; of the revisions after `since` only, where the rule is about revisions."""
    script = open_history(config)
    heads = tuple(script.get_heads())
    env = Path(script.env_py_location)
    if len(heads) > 1:
        words = f"the history has {len(heads)} heads: {', '.join(heads)}; alembic merge heads joins them"
        return (Finding(rule="one-head", message=words, file=_file(script, heads[-1])),)
    with scratch_server() as server:
        found = [*_online(config, script, server, since)]
        if not found or all(finding.rule == "online" for finding in found):
            found += [*_reversible(config, script, server, since), *_models(config, server, env)]
    if with_database:
        found += _edited(config, script)
    return tuple(found)


# Every statement online: the history through the engine, each table in use; a refused revision then runs plainly.


@dataclass(kw_only=True)
class _Listener:
    started: list[RevisionStarted] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if isinstance(event, RevisionStarted):
            self.started.append(event)


def _online(
    config: Config, script: ScriptDirectory, server: Postgres, since: str | None
) -> Iterator[Finding]:
    start = since or _first(script)
    if start is None:
        return
    with (
        scratch_database(config, server=server, revision=("base",)) as url,
        led_to(url, config) as led,
    ):
        failed = _plainly(partial(migrate.upgrade, led, start), script, start, "replays")
        if failed is not None:
            yield failed
            return
        while True:
            listener = _Listener()
            try:
                migrate.upgrade(led, "heads", report=listener)
            except RefusedStatement as refusal:
                revision = listener.started[-1].revision
                yield _finding(script, revision, "online", str(refusal))
                if refusal.is_half_way:  # this database has a part of it: another one for the rest
                    yield from _online(config, script, server, revision)
                    return
                upgrade = partial(command.upgrade, led, revision)
                failed = _plainly(upgrade, script, revision, "replays")
                if failed is not None:
                    yield failed
                    return
            except (HoldfastError, CommandError, DBAPIError) as error:
                revision = listener.started[-1].revision if listener.started else start
                yield _finding(script, revision, "replays", _words(error))
                return
            else:
                return


def _plainly(
    run: Callable[[], None], script: ScriptDirectory, revision: str, rule: str
) -> Finding | None:
    try:
        run()
    except (HoldfastError, CommandError, DBAPIError) as error:
        return _finding(script, revision, rule, _words(error))
    return None


# Up, down, up: by plain Alembic, which takes a statement as it is written.


def _reversible(
    config: Config, script: ScriptDirectory, server: Postgres, since: str | None
) -> Iterator[Finding]:
    left = _after(script, since)
    while left:  # after a failure the database is anybody's guess: a new one for the rest
        below = _below(script, left[0])
        with (
            scratch_database(config, server=server, revision=below) as url,
            led_to(url, config) as led,
        ):
            left = yield from _there_and_back(led, script, url, left)


def _there_and_back(
    config: Config, script: ScriptDirectory, url: str, revisions: list[str]
) -> Generator[Finding, None, list[str]]:
    for place, revision in enumerate(revisions, start=1):
        below = _below(script, revision)
        try:
            command.upgrade(config, revision)
            first = schema_dump(url)
            command.downgrade(config, below[0] if len(below) == 1 else "-1")
            command.upgrade(config, revision)
        except Exception as error:  # noqa: BLE001  # whatever the author raises in a downgrade
            yield _finding(script, revision, "reversible", _words(error), line_of="downgrade")
            return revisions[place:]
        second = schema_dump(url)
        if first != second:
            changes = "\n".join(_changes(first, second)[:SHOWN])
            words = f"up, down and up again differs from up:\n{changes}"
            yield _finding(script, revision, "reversible", words, line_of="downgrade")
    return []


def _changes(first: str, second: str) -> list[str]:
    lines = difflib.unified_diff(first.splitlines(), second.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _models(config: Config, server: Postgres, env: Path) -> Iterator[Finding]:
    try:
        lines = difference(config, server=server).lines
    except NoModels:
        return
    if lines:
        words = ["the models have what no migration has; `holdfast generate NAME` writes:", *lines]
        yield Finding(rule="models", message="\n".join(words), file=env)


def _edited(config: Config, script: ScriptDirectory) -> list[Finding]:
    return [
        _finding(
            script, each.revision, "unedited", EditedRevision(revisions=(each.revision,)).parts()[0]
        )
        for each in status(config).edited
    ]


# Revisions and their files.


def _after(script: ScriptDirectory, since: str | None) -> list[str]:
    """In the order in which they run."""
    until = since or "base"
    found = [each.revision for each in script.walk_revisions(until, "heads")]
    return [revision for revision in reversed(found) if revision != since]


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
    script: ScriptDirectory, revision: str, rule: str, message: str, *, line_of: str = "upgrade"
) -> Finding:
    file = _file(script, revision)
    lines = file.read_text().splitlines()
    pattern = re.compile(rf"\s*def {line_of}\b")
    line = next((n for n, text in enumerate(lines, start=1) if pattern.match(text)), 1)
    return Finding(rule=rule, message=f"revision {revision}: {message}", file=file, line=line)


def _words(error: Exception) -> str:
    if isinstance(error, DBAPIError):
        return str(error.orig).strip()
    return str(error) or type(error).__name__
