"""Finds which revisions a revert takes back, in order: `-2` is two of them, on however many branches."""

import re
from dataclasses import dataclass

from alembic.config import Config
from alembic.runtime.migration import MigrationStep, RevisionStep
from alembic.script import Script, ScriptDirectory

from holdfast.errors.project import NotSoManyRevisions
from holdfast.migrate.project_connection import ProjectConnection, on_every_pass

COUNTED = re.compile(r"-(\d+)")


def steps_down(
    script: ScriptDirectory, revision: str, heads: tuple[str, ...]
) -> list[RevisionStep]:
    """Give the steps down to `revision`, as Alembic finds them; "-N" is exactly N on several branches.

    Raises NotSoManyRevisions.
    """
    counted = COUNTED.fullmatch(revision)
    if counted and heads:
        last = last_ones(script, heads, int(counted[1]))
        if len(last) < int(counted[1]):
            raise NotSoManyRevisions(asked=int(counted[1]), applied=len(last))
        if len(heads) != 1:
            return [step_down(script, each) for each in last]
    elif counted:
        return []
    return script._downgrade_revs(revision, heads)  # type: ignore[arg-type]  # noqa: SLF001  # as alembic.command does


def step_down(script: ScriptDirectory, revision: str) -> RevisionStep:
    """Give the step that takes back this revision alone."""
    return MigrationStep.downgrade_from_script(script.revision_map, _script(script, revision))


def last_ones(script: ScriptDirectory, heads: tuple[str, ...], count: int) -> list[str]:
    """Give the last revisions, head after head; fewer if there are no more."""
    order = [revision.revision for revision in script.walk_revisions()]  # the last one first
    left = {
        node.revision
        for node in script.revision_map._get_ancestor_nodes(  # noqa: SLF001  # depends_on included
            script.revision_map.get_revisions(heads)
        )
        if isinstance(node, Script)
    }
    found: list[str] = []
    while left and len(found) < count:
        needed = {below for each in left for below in _script(script, each)._all_down_revisions}  # noqa: SLF001
        head = min(left - needed, key=order.index)
        found.append(head)
        left.remove(head)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """A revision that a revert takes back, and the databases in which it does."""

    revision: str
    description: str
    databases: tuple[str, ...]


def taken_back(config: Config, revision: str) -> tuple[TakenBack, ...]:
    """Say what `downgrade` to `revision` would take back now, in order; one revision of several databases is one."""
    found: dict[tuple[str, str], dict[str, None]] = {}

    def look(project: ProjectConnection) -> None:
        try:
            steps = steps_down(project.script, revision, project.heads)
        except NotSoManyRevisions as error:
            error.database = project.database.name
            raise
        for step in steps:
            named = (step.revision.revision, step.revision.doc or "")
            found.setdefault(named, {})[project.database.name] = None

    on_every_pass(config, look)
    return tuple(
        TakenBack(revision=name, description=description, databases=tuple(databases))
        for (name, description), databases in found.items()
    )


def _script(script: ScriptDirectory, revision: str) -> Script:
    found = script.get_revision(revision)
    assert found is not None  # noqa: S101  # an ancestor of a head that is known
    return found
