"""The committed OpenAPI document is the one of this version."""

import json
from pathlib import Path

from click.testing import CliRunner

from marketplace.cli.openapi import document, openapi
from marketplace.problems import MEDIA_TYPE

COMMITTED = Path(__file__).parents[2] / "openapi.json"
METHODS = {"get", "post", "patch", "put", "delete"}


def test_it_is_the_committed_one() -> None:
    """To renew it: ./dev marketplace openapi packages/marketplace/openapi.json."""
    assert json.loads(document()) == json.loads(COMMITTED.read_text())
    assert document() == COMMITTED.read_text()


def test_the_command_writes_it(tmp_path: Path) -> None:
    """To a file, or to stdout."""
    CliRunner().invoke(openapi, [str(tmp_path / "api.json")], catch_exceptions=False)
    assert (tmp_path / "api.json").read_text() == document()
    assert CliRunner().invoke(openapi, catch_exceptions=False).output == document()


def test_every_refusal_is_a_problem() -> None:
    """Whatever a route documents from 400 upwards."""
    for path, routes in json.loads(document())["paths"].items():
        for method in METHODS & routes.keys():
            for status, answer in routes[method]["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == [MEDIA_TYPE], f"{method} {path} {status}"
