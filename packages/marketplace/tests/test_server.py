"""The key of an embedded database, and what is shown of a URL."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from marketplace.server import kept_key, shown
from marketplace.settings import sqlalchemy_url


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """Beside the data, readable by nobody else."""
    first = kept_key(tmp_path / "postgres")
    assert kept_key(tmp_path / "postgres") == first
    assert len(first.get_secret_value()) >= 32
    assert stat.S_IMODE((tmp_path / "postgres.key").stat().st_mode) == 0o600
    assert kept_key(tmp_path / "other") != first


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s3cr3t@db.example/shop",
        "postgresql://app@db.example/shop?password=s3cr3t",
        "postgresql:///shop?host=db.example&user=app&password=s3cr3t&sslmode=require",
        "postgresql://app:s3cr3t@one.example,two.example/shop",
    ],
)
def test_no_password_is_shown(url: str) -> None:
    """In whatever part of the URL it stands."""
    said = shown(sqlalchemy_url(SecretStr(url)))
    assert "s3cr3t" not in said
    assert said.startswith("postgresql://")
    assert "shop" in said
