"""A revert takes back as many revisions as it was told, on however many branches, and says which."""

import forked
import pytest
from alembic_project import Project

from holdfast.migrate.history_files import open_history
from holdfast.migrate.run import upgrade
from holdfast.migrate.taken_back import last_ones


@pytest.fixture
def branches(project: Project) -> Project:
    """r1 ─ r2 ─ r4 and r1 ─ r3 ─ r5, each with a table."""
    below = {"r2": "r1", "r3": "r1", "r4": "r2", "r5": "r3"}
    for name in ("r1", "r2", "r3", "r4", "r5"):
        project.revision(f"op.execute('CREATE TABLE {name} ()')", f"op.drop_table('{name}')")
        file = project.file(name)
        down = f"'{below[name]}'" if name in below else "None"
        lines = [
            f"down_revision = {down}" if line.startswith("down_revision") else line
            for line in file.read_text().splitlines()
        ]
        file.write_text("\n".join(lines) + "\n")
    upgrade(project.config, "heads")
    return project


@pytest.mark.parametrize("count", range(7))
def test_exactly_as_many(branches: Project, count: int) -> None:
    """Each one before those that it stands on; never more, and not more than there are."""
    script = open_history(branches.config)
    found = last_ones(script, ("r4", "r5"), count)
    assert len(found) == min(count, 5)
    for place, revision in enumerate(found):
        above = {r.revision for r in script.walk_revisions() if revision in (r.down_revision or "")}
        assert above <= set(found[:place])


def revert(project: Project, *arguments: str) -> tuple[int, list[str], str]:
    ended = forked.holdfast("revert", *arguments, cwd=project.folder)
    return ended.returncode, ended.stderr.splitlines(), ended.stdout


def test_two_on_two_branches_are_two(branches: Project) -> None:
    """It says which before it begins; plain Alembic takes back three."""
    status, said, result = revert(branches, "-n", "2")
    # Which of the two branches comes first is Alembic's choice.
    above, below = ("r4", "r2") if "r4" in said[0] else ("r5", "r3")
    assert (status, said[0], result.split(" (")[0]) == (
        0,
        f"takes back 2: {above} about {above}; {below} about {below}",
        f"reverted 2: {above}, {below}",
    )
    left = branches.query(r"SELECT count(*) FROM pg_tables WHERE tablename ~ '^r\d$'")
    assert left == [(3,)]
    status, said, _ = revert(branches, "-n", "4")
    [[name]] = branches.query("SELECT current_database()")
    assert (status, said) == (
        2,
        [
            f"error: 4 revisions were to be taken back in {name}, and only 3 can be; none was.",
            "A count that goes beyond the first revision may be meant for another database.",
            "Take back all of them, if that is meant: holdfast revert -n 3 (or --to base)",
        ],
    )
    status, said, _ = revert(branches, "--to", "base")
    assert (status, said[0].split(":")[0]) == (0, "takes back 3")
    assert revert(branches)[1:] == ([], "nothing to revert\n")
