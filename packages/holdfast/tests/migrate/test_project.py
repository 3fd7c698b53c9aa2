"""The project is the one that Alembic finds, or Flask-Migrate: whatever its layout, section or folder of revisions."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from holdfast.errors.project import UnknownConfiguration, UnknownSection
from holdfast.migrate.project import find_config
from holdfast.migrate.project_files import OURS
from holdfast.migrate.up_to_date.alembic_project import project_of
from holdfast.migrate.up_to_date.files import options_at

# For each layout: the files, the folder in which a command is called, -c and -n, and what Alembic is to find.
LAYOUTS: dict[str, tuple[dict[str, str], str, str | None, str, list[str]]] = {
    "alembic init": (
        {"alembic.ini": "[alembic]\nscript_location = %(here)s/alembic\n"},
        ".",
        None,
        "alembic",
        ["alembic/versions"],
    ),
    "alembic init -t pyproject: the URL in one file, the place in the other": (
        {
            "alembic.ini": "[alembic]\nsqlalchemy.url = postgresql://here\n",
            "pyproject.toml": '[tool.alembic]\nscript_location = "%(here)s/alembic"\n',
        },
        ".",
        None,
        "alembic",
        ["alembic/versions"],
    ),
    "pyproject.toml alone, from a folder below": (
        {"pyproject.toml": '[tool.alembic]\nscript_location = "%(here)s/alembic"\n', "a/b/c": ""},
        "a/b",
        None,
        "alembic",
        ["alembic/versions"],
    ),
    "pyproject.toml named, with the ini beside it": (
        {
            "deep/alembic.ini": "[alembic]\nsqlalchemy.url = postgresql://here\n",
            "deep/pyproject.toml": '[tool.alembic]\nscript_location = "%(here)s/alembic"\n',
        },
        ".",
        "deep/pyproject.toml",
        "alembic",
        ["deep/alembic/versions"],
    ),
    "the ini named, pyproject.toml in the working directory": (
        {
            "conf/alembic.ini": "[alembic]\nsqlalchemy.url = postgresql://here\n",
            "pyproject.toml": '[tool.alembic]\nscript_location = "%(here)s/alembic"\n',
        },
        ".",
        "conf/alembic.ini",
        "alembic",
        ["alembic/versions"],
    ),
    "the ini of another project named, from the folder of one": (
        {
            "other/alembic.ini": "[alembic]\nscript_location = %(here)s/alembic\n",
            "pyproject.toml": '[tool.holdfast]\nscript_location = "@HERE@/ours"\n',
        },
        ".",
        "other/alembic.ini",
        "alembic",
        ["other/alembic/versions"],
    ),
    "another section of the ini": (
        {
            "alembic.ini": (
                "[alembic]\nscript_location = nowhere\n[tenants]\nscript_location = %(here)s/tenants\n"
            )
        },
        ".",
        None,
        "tenants",
        ["tenants/versions"],
    ),
    "several places": (
        {
            "alembic.ini": (
                "[alembic]\nscript_location = %(here)s/alembic\npath_separator = newline\n"
                "version_locations = %(here)s/one\n  %(here)s/two\n"
            )
        },
        ".",
        None,
        "alembic",
        ["one", "two"],
    ),
    "several places in pyproject.toml": (
        {
            "pyproject.toml": (
                '[tool.alembic]\nscript_location = "%(here)s/alembic"\n'
                'version_locations = ["%(here)s/one", "%(here)s/two"]\n'
            )
        },
        ".",
        None,
        "alembic",
        ["one", "two"],
    ),
    "Flask-Migrate": (
        {"migrations/alembic.ini": "[alembic]\n"},
        ".",
        None,
        "alembic",
        ["migrations/versions"],
    ),
    "Flask-Migrate, named": (
        {"deep/migrations/alembic.ini": "[alembic]\n"},
        ".",
        "deep/migrations/alembic.ini",
        "alembic",
        ["deep/migrations/versions"],
    ),
    "holdfast's options beside Flask-Migrate": (
        {
            "migrations/alembic.ini": "[alembic]\n",
            "pyproject.toml": '[tool.holdfast]\nscratch_start = "before.sql"\n',
        },
        ".",
        None,
        "alembic",
        ["migrations/versions"],
    ),
    "holdfast's own table": (
        {"pyproject.toml": '[tool.holdfast]\nscript_location = "@HERE@/alembic"\n'},
        ".",
        None,
        "alembic",
        ["alembic/versions"],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: tuple[dict[str, str], str, str | None, str, list[str]],
) -> None:
    """The folders that Alembic would read, and nothing that a look at files alone would mistake."""
    files, directory, file, section, places = layout
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.replace("@HERE@", str(tmp_path)))
    for place in ("alembic", *places):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / directory)
    named = Path(file) if file else None
    found = find_config(file=named, x=(), directory=Path.cwd(), section=section)
    assert versions(found) == [str(tmp_path / place) for place in places]
    looked = options_at(Path.cwd(), file=named)
    said = looked.get("alembic", "script_location", fallback=None) if looked is not None else None
    if section == "alembic" and said is not None:
        assert said == found.get_main_option("script_location")
    assert project_of(found) is None  # no env.py of these says that holdfast's settings count


def versions(config: Config) -> list[str]:
    script = ScriptDirectory.from_config(config)
    return [str(Path(place)) for place in script._version_locations]


def test_options_of_holdfast_are_said_in_addition(tmp_path: Path) -> None:
    """Beside alembic.ini: one file says where the project is, the other what may differ."""
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = here\n")
    (tmp_path / "pyproject.toml").write_text('[tool.holdfast]\nscratch_start = "50%.sql"\n')
    found = find_config(file=None, x=(), directory=tmp_path)
    assert found.get_main_option("script_location") == "here"
    assert found.get_main_option("scratch_start") == "50%.sql"


@pytest.mark.parametrize("table", ["alembic", "holdfast"])
@pytest.mark.parametrize("name", OURS)
def test_options_of_holdfast_in_either_table(tmp_path: Path, table: str, name: str) -> None:
    """Whichever table of pyproject.toml says them, and beside alembic.ini too; a list is JSON there."""
    (tmp_path / "alembic.ini").write_text("[alembic]\nsqlalchemy.url = postgresql:///x\n")
    header = "[tool.holdfast]\n" if table == "holdfast" else ""
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.alembic]\nscript_location = "here"\n{header}{name} = ["50%"]\n'
    )
    found = find_config(file=None, x=(), directory=tmp_path)
    assert found.get_main_option(name) == '["50%"]'
    assert found.get_alembic_option("script_location") == "here"


def test_a_section_that_is_not_there(tmp_path: Path) -> None:
    """A file with a section for each database: those that there are, and how one is named."""
    (tmp_path / "alembic.ini").write_text(
        "[erp]\nscript_location = db\n[archive]\nscript_location = db\n[loggers]\nkeys = root\n"
    )
    with pytest.raises(UnknownSection) as raised:
        find_config(file=None, x=(), directory=tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}/alembic.ini has no section [alembic].\n"
        "The section says where the revisions are, and often which database to use. The file has these: erp, archive.\n"
        "Name the one you mean: holdfast -n erp status"
    )


@pytest.mark.parametrize("file", [None, Path("pyproject.toml"), Path("other.ini")])
def test_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path | None) -> None:
    """A pyproject.toml that says nothing of migrations is no project, a file that is not there neither."""
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownConfiguration):
        find_config(file=file, x=(), directory=tmp_path)
