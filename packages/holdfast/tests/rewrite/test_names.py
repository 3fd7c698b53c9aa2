"""Names as PostgreSQL writes and chooses them."""

import pytest

from holdfast.rewrite.names import QualifiedName, free_name, object_name, quote


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        ("orders", "orders"),
        ("a_1", "a_1"),
        ("Orders", '"Orders"'),
        ("1a", '"1a"'),
        ('a"b', '"a""b"'),
        ("order", '"order"'),
        ("größe", '"größe"'),
        ("", '""'),
    ],
)
def test_quoted_where_needed(identifier: str, text: str) -> None:
    """What would be read as something else stands in double quotes."""
    assert quote(identifier) == text


def test_a_qualified_name_is_sql() -> None:
    """Schema and name, each quoted for itself."""
    assert str(QualifiedName(schema="My", name="user")) == '"My"."user"'


def test_the_longer_name_is_cut() -> None:
    """63 bytes, and no half character at the end."""
    assert object_name("t" * 40, second="c" * 40, label="key") == "t" * 29 + "_" + "c" * 29 + "_key"
    assert object_name("t" * 70, label="pkey") == "t" * 58 + "_pkey"
    assert object_name("ä" * 40, label="pkey") == "ä" * 29 + "_pkey"


def test_the_first_free_number() -> None:
    """A taken name gets 1, then 2."""
    taken = {"t_a_key", "t_a_key1"}
    assert free_name("t", second="a", label="key", taken=taken) == "t_a_key2"
