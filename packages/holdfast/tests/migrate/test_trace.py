"""How many files somebody reads who follows one CREATE INDEX through the rooms that decide, plan and execute."""

import sys
from pathlib import Path
from types import FrameType

from alembic_project import Project

import holdfast
from holdfast.execute.progress import Event, RevisionStarted, StepDone
from holdfast.migrate.run import upgrade

HOUSE = Path(holdfast.__file__).parent
ROOMS = ("intercept", "rewrite", "execute")
MOST_FILES = 20


class Trace:
    """The files of ROOMS in which a function is called, from the arrival of a statement to the end of its last step."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.has_arrived = False

    def report(self, event: Event) -> None:
        """Follow the revision, and nothing before or behind it."""
        if isinstance(event, RevisionStarted):
            sys.setprofile(self._note)
        elif isinstance(event, StepDone):
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event != "call" or not file.is_relative_to(HOUSE):
            return
        self.has_arrived |= frame.f_code.co_name == "do_execute_no_params"
        self.has_arrived |= frame.f_code.co_name == "do_execute"
        within = file.relative_to(HOUSE)
        if self.has_arrived and within.parts[0] in ROOMS:
            self.files.add(within.as_posix())


def test_one_index_passes_through_few_files(project: Project) -> None:
    """A decision in one place: whoever asks what happens to a statement reads few files."""
    project.revision("op.execute('CREATE TABLE t (id int PRIMARY KEY, a int)')")
    upgrade(project.config, "head")
    project.query("INSERT INTO t SELECT n, n FROM generate_series(1, 100) AS n")
    project.revision("op.create_index('t_a', 't', ['a'])")
    trace = Trace()
    upgrade(project.config, "head", report=trace.report)
    assert len(trace.files) <= MOST_FILES, "\n".join(sorted(trace.files))
