"""What the journal keeps as text comes back from it."""

from holdfast.execute.journal import new_relations_from_json, new_relations_to_json
from holdfast.rewrite.facts import NewRelations
from holdfast.rewrite.names import QualifiedName


def test_what_is_new_survives() -> None:
    """Relations and columns that the revision itself has made, in any schema."""
    here, there = (QualifiedName(schema=schema, name="t") for schema in ("public", "s"))
    new = NewRelations(names=frozenset([here, there]), columns=frozenset([(there, "x")]))
    assert new_relations_from_json(new_relations_to_json(new)) == new
