"""What `generate` says of a revision beside its file: whole sentences, with options that can be pasted."""

import pytest

from holdfast.cli.generate import notes
from holdfast.preview.compare.renames import Rename
from holdfast.preview.generate import ModelDifference
from holdfast.rewrite.names import QualifiedName

OF_ITS_OWN = QualifiedName(schema="clinic", name="Patient")


def rename(schema: str, *, is_column: bool) -> Rename:
    table = QualifiedName(schema=schema, name="t")
    old, new = ("a", "b") if is_column else ("t", "u")
    return Rename(table=table, old=old, new=new, is_column=is_column, default_schema="public")


@pytest.mark.parametrize(
    ("schema", "is_column", "spellings"),
    [
        ("public", True, ("t.a:b", "public.t.a:b")),
        ("clinic", True, ("clinic.t.a:b",)),
        ("public", False, ("t:u", "public.t:u")),
        ("clinic", False, ("clinic.t:u",)),
    ],
)
def test_a_rename_that_is_proposed_can_be_asked_for(
    schema: str, is_column: bool, spellings: tuple[str, ...]
) -> None:
    """Whatever it is of, in whichever schema: the words that are printed are among those that are understood."""
    found = rename(schema, is_column=is_column)
    assert (str(found), found.spellings()) == (spellings[0], spellings)


def test_all_of_them() -> None:
    """Dropped and added, or renamed; and what was left alone."""
    found = ModelDifference(
        lines=("pass",), renames=(rename("public", is_column=True),), left_alone=(OF_ITS_OWN,)
    )
    column = rename("clinic", is_column=True)
    assert list(notes(found, dropped_and_added=(column,))) == [
        "a is dropped and b added; if it was renamed: --rename clinic.t.a:b",
        'clinic."Patient" is neither in the models nor made by a revision: it stays',
        (
            "run and check refuse the rename t.a:b while the application may use a. If nothing does: say why and "
            "until when in the comments above it, up and down. Otherwise, without --rename: add b, keep both equal by"
            " a trigger, fill it, and drop a later."
        ),
    ]
