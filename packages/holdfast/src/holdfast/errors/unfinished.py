"""Errors of a revision that is half-way: stopped, interrupted, edited or given up."""

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_error


@light_error
class StoppedBetweenSteps(HoldfastError):
    """Ctrl-C or SIGTERM stopped a run between two steps."""

    revision: str
    exit_status = 130
    what = "Stopped between two steps of revision {revision}, as asked."
    why = "Every step so far is recorded; nothing is locked, nothing is half done."
    remedy = "Go on where it stopped: {again}"


@light_error
class StoppedInStep(HoldfastError):
    """The grace period after SIGTERM ended, or Ctrl-C came twice, within a step."""

    revision: str
    exit_status = 130
    what = "Stopped within a step of revision {revision}, as asked: its statement was cancelled."
    why = (
        "The server has undone that statement; every step before it is recorded, nothing is locked."
    )
    remedy = "Go on where it stopped, starting that step again: {again}"


@light_error
class StoppedWhileWaiting(HoldfastError):
    """Ctrl-C or SIGTERM stopped a run that was waiting."""

    what_for: str
    exit_status = 130
    what = "Stopped while it waited, as asked: {what_for}."
    why = "Nothing is locked, nothing is half done; every step before is recorded."
    remedy = "Try again, or go on where it stopped: {again}"


@light_error
class UnfinishedRevision(HoldfastError):
    """Another revision is half-way in this database, so this one was not started."""

    revision: str
    direction: str
    finish: str  # the command
    exit_status = 5
    what = (
        "Revision {revision} ({direction}) is half-way in this database; nothing else was started."
    )
    why = "A run was killed or stopped while its queue was under way; what is done is recorded."
    remedy = (
        "Finish it with the version of the project that began it: {finish}. If it can never finish: "
        "holdfast abandon"
    )


@light_error
class EditedWhileUnfinished(HoldfastError):
    """The file of a revision that is half-way has changed."""

    revision: str
    file: str
    exit_status = 6
    what = "Revision {revision} is half-way, and its file {file} has changed since it was started."
    why = "What is left to do was recorded from the file as it was; the two may not fit together."
    remedy = (
        "Restore the file, finish with {again}, and put the change into a new revision; or give "
        "up the rest: holdfast abandon"
    )


@light_error
class FunctionWasInterrupted(HoldfastError):
    """A function was interrupted after a commit, and cannot be replayed."""

    revision: str
    reason: str
    exit_status = 5
    what = "Revision {revision} was interrupted in its function, which cannot be called again: {reason}."
    why = (
        "A part of what the function does is committed: calling it again would do that part twice."
    )
    remedy = (
        "See what is there: holdfast status. Finish or undo it by hand, then holdfast abandon, which "
        "says how to go on"
    )


@light_error
class ReplayMismatch(HoldfastError):
    """A function that was interrupted sends other statements than it did before."""

    revision: str
    sent: str
    expected: str
    exit_status = 5
    what = "Revision {revision} was interrupted, and now sends: {sent}; recorded is: {expected}."
    why = (
        "What it had committed is given back to it by the text of its statements. This one has no "
        "record, while others are left: it depends on a clock, a random value, or data that changed; "
        "or the file was edited before the point of the interruption."
    )
    remedy = (
        "If the file was edited: restore what stood before that point, then {again}. Otherwise "
        "finish or undo by hand what is there (holdfast status), then holdfast abandon, which says "
        "how to go on"
    )


@light_error
class RollbackAfterCommit(HoldfastError):
    """The author of a revision rolls back what is already committed."""

    revision: str
    exit_status = 5
    what = "Revision {revision} rolls back, but a part of what it would undo is already committed."
    why = (
        "It reads what it has changed, so the queued statements had to run and be committed first."
    )
    remedy = (
        "Put the part that may be undone into a revision of its own; then holdfast abandon, which says what is "
        "there and how to go on"
    )


@light_error
class NothingToAbandon(HoldfastError):
    """There is nothing to abandon: no revision is half-way."""

    exit_status = 2
    what = "No revision of this project is half-way in this database; nothing was changed."
    why = "Only a queue that this project has started, and that did not end, can be abandoned."
    remedy = "See where the database stands: holdfast status"


@light_error
class NothingToPause(HoldfastError):
    """No run can be paused, as holdfast has never run in the database."""

    exit_status = 2
    what = "There is nothing to pause: holdfast has not run in any database of this project yet."
    why = "The request is a row of the schema holdfast, which the first run creates."
    remedy = "Start the run first: holdfast run"
