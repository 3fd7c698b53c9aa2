"""Which SQL files a command acts on, where no option names them."""

from pathlib import Path

import pytest

from holdfast.migrate.project_files import sql_in


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"pyproject.toml": '[tool.holdfast]\nsql = "db"\n'}, "db"),
        ({"pyproject.toml": "[tool.other]\n"}, None),
        ({"pyproject.toml": '[tool.holdfast]\nsql = "db"\n', "alembic.ini": "[alembic]\n"}, None),
        ({"pyproject.toml": '[tool.holdfast]\nsql = "db"\n[tool.alembic]\nx = 1\n'}, None),
        ({}, None),
    ],
)
def test_named_by_a_pyproject(files: dict[str, str], found: str | None, tmp_path: Path) -> None:
    """In the nearest one upwards; a project of Alembic comes first."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    inside = tmp_path / "inside"
    inside.mkdir()
    for folder in (tmp_path, inside) if "alembic.ini" not in files else (tmp_path,):
        assert sql_in(folder) == (None if found is None else tmp_path / found)
