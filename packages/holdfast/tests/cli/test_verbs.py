"""The verbs by other tools' names, help by its short option, and branches that are wanted."""

import pytest
from alembic_project import Project
from click.testing import CliRunner

from holdfast.cli import CALLED_ELSEWHERE, VERBS, holdfast
from holdfast.migrate.run import upgrade
from holdfast.preview.check import check


@pytest.mark.parametrize("name", CALLED_ELSEWHERE)
def test_another_tool_s_verb_says_which_one_it_is_here(name: str) -> None:
    """Wrong usage, with the line to type; and no verb of ours is among them."""
    ended = CliRunner().invoke(holdfast, [name, "head"])
    assert (ended.exit_code, ended.stderr.splitlines()[-1]) == (
        2,
        f"Error: There is no verb '{name}'; here it is: {CALLED_ELSEWHERE[name]}",
    )
    assert name not in VERBS


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_short_help(verb: str) -> None:
    """-h is --help, of the command and of each verb."""
    words = [verb] if verb else []
    runner = CliRunner()
    short = runner.invoke(holdfast, [*words, "-h"])
    assert (short.exit_code, short.output) == (
        0,
        runner.invoke(holdfast, [*words, "--help"]).output,
    )


def test_the_list_of_verbs_has_whole_sentences() -> None:
    """Whatever the width: none is cut."""
    for width in (40, 80):
        shown = CliRunner().invoke(holdfast, ["-h"], terminal_width=width).output
        listed = shown.partition("Commands:")[2]
        assert (len(listed.split()) > 100, "..." in listed) == (True, False)


@pytest.fixture
def branches(project: Project) -> Project:
    """Two labelled branches on one root; the second is not reversible."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))", "op.drop_table('a')")
    project.revision("op.create_table('b', sa.Column('id', sa.Integer))", "op.drop_table('b')")
    project.revision("op.create_table('c', sa.Column('id', sa.Integer))", "pass")
    for name, label in (("r2", "shop"), ("r3", "blog")):
        file = project.file(name)
        text = file.read_text().replace("down_revision = 'r2'", "down_revision = 'r1'")
        file.write_text(f"{text}\n\nbranch_labels = ('{label}',)\n")
    return project


@pytest.mark.everywhere
def test_check_goes_on_behind_two_heads(
    branches: Project, postgres: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are found: the second head, and what is wrong with a revision; wanted, they are no finding."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))  # type: ignore[attr-defined]
    found = [(each.rule, each.revision) for each in check(branches.config)]
    assert found == [("one-head", None), ("reversible", "r3")]
    ini = branches.folder / "alembic.ini"
    ini.write_text(ini.read_text() + "branches = shop, blog\n")
    assert [(each.rule, each.revision) for each in check(branches.config)] == [("reversible", "r3")]
    upgrade(branches.config, "head")
    heads = branches.query("SELECT version_num FROM alembic_version ORDER BY 1")
    assert heads == [("r2",), ("r3",)]
    ini.write_text(ini.read_text().replace("shop, blog", "shop"))
    assert check(branches.config)[0].rule == "one-head"


def test_a_misspelt_verb() -> None:
    """The verb that is meant, as a line to type."""
    ended = CliRunner().invoke(holdfast, ["statu"])
    assert (ended.exit_code, ended.stderr.splitlines()[-1]) == (
        2,
        "Error: There is no verb 'statu'. Is it this: holdfast status",
    )


def test_what_was_asked_for_and_is_not_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No verb says more than it knows: nothing was asked about what lies behind, or what others have left."""
    monkeypatch.chdir(project.folder)
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    said = [
        CliRunner().invoke(holdfast, words).stdout
        for words in (["run", "--to", "base"], ["finish", "--revision", "r9"], ["revert"])
    ]
    assert said == [
        "nothing is pending up to base\n",
        "nothing of revision r9 waits\n",
        "nothing to revert\n",
    ]
