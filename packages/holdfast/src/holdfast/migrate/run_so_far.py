"""Keeps track of what a run is known to have done, for the errors that end it."""

from holdfast.execute.progress import (
    BackfillMoved,
    Event,
    Report,
    RevisionDone,
    RevisionStarted,
    StatementsDone,
    StepDone,
)

COMMITS = (BackfillMoved, RevisionDone, StatementsDone, StepDone)


class RunSoFar:
    """What a run has reported: the revisions that are done, and the last step of the current one."""

    def __init__(self, *, report: Report) -> None:
        self.report = report
        self.done: list[str] = []
        self.under_way: str | None = None
        self.last_step: str | None = None
        self.committed = 0  # events that tell of a commit

    def __call__(self, event: Event) -> None:
        """Note an event, and pass it on."""
        self.committed += isinstance(event, COMMITS)
        match event:
            case RevisionStarted(revision=revision):
                self.under_way, self.last_step = revision, None
            case RevisionDone(revision=revision):
                self.done.append(revision)
                self.under_way = self.last_step = None
            case StepDone(started=started):
                self.last_step = started.step
        self.report(event)

    def __str__(self) -> str:
        words = "This run has completed no revision." if not self.done else ""
        if self.done:
            words = f"This run has completed {', '.join(self.done)}."
        if self.under_way is not None:
            words += f" Revision {self.under_way} was under way"
            words += f"; its last step that is done: {self.last_step}." if self.last_step else "."
        return f"{words} Whether a COMMIT that was just sent has arrived, the database knows: holdfast status."
