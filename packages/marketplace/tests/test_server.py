"""The key of an embedded database."""

import stat
from pathlib import Path

from marketplace.server import kept_key


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """Beside the data, readable by nobody else."""
    first = kept_key(tmp_path / "postgres")
    assert kept_key(tmp_path / "postgres") == first
    assert len(first.get_secret_value()) >= 32
    assert stat.S_IMODE((tmp_path / "postgres.key").stat().st_mode) == 0o600
    assert kept_key(tmp_path / "other") != first
