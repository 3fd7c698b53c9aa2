"""Why a change cannot be made for two releases at once."""

from dataclasses import dataclass

from holdfast.errors import HoldfastError
from holdfast.errors.statement import NotForTwoReleases
from holdfast.rewrite.queue.queued_changes import QueuedChange
from holdfast.rewrite.statement import Statement, shortened


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsOneRelease:
    """A change, and why two releases cannot live with it."""

    relation: str
    what: str
    reasons: tuple[str, ...]
    lifted_by: frozenset[QueuedChange] = frozenset()

    def error(self, statement: Statement) -> HoldfastError:
        """Make the error that refuses the statement for these reasons."""
        return NotForTwoReleases(
            statement=shortened(statement.sql),
            relation=self.relation,
            change=self.what,
            reasons=" ".join(self.reasons),
        )
