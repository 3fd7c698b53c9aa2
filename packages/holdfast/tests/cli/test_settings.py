"""`holdfast settings` shows what is in force, and no secret."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from holdfast.cli import holdfast
from holdfast.engine.settings import Settings
from holdfast.errors.settings import RefusedSetting

SECRET = "hunter2"
ENVIRONMENT = {
    "DATABASE_URL": f"postgresql://app:{SECRET}@db.example/shop",
    "HOLDFAST_POOL_MAX": "7",
}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, env: dict[str, str] = ENVIRONMENT) -> Result:
    return CliRunner().invoke(holdfast, ["settings", *arguments], env=env)


def test_text() -> None:
    """A line a variable, under the name by which it is changed; then what libpq is told."""
    result = run()
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines() if line]
    shown = {name: rest for name, *[rest] in lines}
    assert result.exit_code == 0
    assert SECRET not in result.output
    assert {
        "HOLDFAST_PROFILE": "production",
        "DATABASE_URL": "postgresql+psycopg://app@db.example/shop",
        "HOLDFAST_PASSWORD": "(set)",
        "HOLDFAST_POOL_MAX": "7",
        "HOLDFAST_POOL_IDLE": "30 s",
        "channel_binding": "require",
    }.items() <= shown.items()


def test_json() -> None:
    """The same, for programs; every variable is there."""
    result = run("--format", "json")
    shown = json.loads(result.stdout)
    variables = [line["variable"] for line in shown["settings"]]
    assert SECRET not in result.output
    assert variables == [name for name in Settings.variables() if name != "HOLDFAST_URL"]
    assert {"variable": "sslmode", "value": "require"} in shown["libpq"]


def test_without_a_database() -> None:
    """The defaults can be looked at."""
    result = run("--format", "json", env={})
    assert json.loads(result.stdout)["libpq"] == []


def test_what_is_refused_is_refused_here_too() -> None:
    """The same error as at the start of the application."""
    result = run(env=ENVIRONMENT | {"HOLDFAST_TLS": "off"})
    assert isinstance(result.exception, RefusedSetting)
    assert result.exception.exit_status == 2
