"""What a token that could not be rotated is: the table of answers, without a server."""

from uuid import UUID

import pytest

from marketplace.accounts.rotation import Found, Outcome, judge
from marketplace.accounts.tokens import RefreshToken

PARENT, CURRENT, OTHER = b"p" * 32, b"c" * 32, b"o" * 32


def found(**changes: object) -> Found:
    fields: dict[str, object] = {
        "generation": 5,
        "token_hash": CURRENT,
        "previous_hash": PARENT,
        "has_ended": False,
        "is_in_grace": True,
    }
    return Found(**{**fields, **changes})  # type: ignore[arg-type]  # checked by the class


@pytest.mark.parametrize(
    ("generation", "presented", "session", "outcome"),
    [
        (4, PARENT, found(), Outcome.REPLAYED),
        (4, PARENT, found(is_in_grace=False), Outcome.REUSE_DETECTED),
        (4, OTHER, found(), Outcome.REUSE_DETECTED),
        (3, PARENT, found(), Outcome.REUSE_DETECTED),
        (0, OTHER, found(generation=1, previous_hash=None), Outcome.REUSE_DETECTED),
        (4, PARENT, found(has_ended=True), Outcome.REFUSED),
        (3, PARENT, found(has_ended=True), Outcome.REFUSED),
        (5, CURRENT, found(), Outcome.REFUSED),
        (6, OTHER, found(), Outcome.REFUSED),
        (0, OTHER, None, Outcome.REFUSED),
    ],
)
def test_judgements(
    generation: int, presented: bytes, session: Found | None, outcome: Outcome
) -> None:
    """The parent in the grace is a retry, every other spent token is reuse, the rest is refused."""
    token = RefreshToken(session_id=UUID(int=1), generation=generation, secret=bytes(32))
    assert judge(token, presented=presented, found=session) is outcome
