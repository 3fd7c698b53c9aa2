"""The demo shows what it says."""

import pytest

from marketplace.demos.refresh_storm import refresh_storm


@pytest.mark.everywhere
def test_only_ours_keeps_every_session() -> None:
    """With one live token each, and nobody is refused. The usual ways are as bad as luck has it."""
    *usual, ours = refresh_storm(bursts=2, requests=6)
    assert [storm.way for storm in usual] == ["read, spend, insert", "compare and swap"]
    assert (ours.answered, ours.refused, ours.failed) == (12, 0, 0)
    assert (ours.most_live_tokens, ours.sessions_lost) == (1, 0)
