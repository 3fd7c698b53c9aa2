"""Reads an enum that a revision makes anew: its values, its columns, and that nothing else depends on it."""

import json
from collections.abc import Iterable

import sqlalchemy as sa
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import EnumInUse
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import strings

# One row an enum of the migrator's own. Not with a comment, privileges, or something that names the type other than
# columns and their defaults: a new type would lose those, or not take the place of the old one.
ENUMS = sa.text("""
SELECT json_build_object(
    'schema', nspname, 'name', typname,
    'labels', (SELECT json_agg(enumlabel ORDER BY enumsortorder) FROM pg_catalog.pg_enum
               WHERE enumtypid = t.oid),
    'columns', (SELECT coalesce(json_agg(json_build_array(s.nspname, relname, attname)), '[]')
                FROM pg_catalog.pg_attribute
                JOIN pg_catalog.pg_class c ON c.oid = attrelid AND relkind IN ('r', 'p')
                JOIN pg_catalog.pg_namespace s ON s.oid = relnamespace
                WHERE atttypid IN (t.oid, typarray) AND attinhcount = 0 AND NOT attisdropped))::text
FROM unnest(CAST(:names AS text[])) AS written
JOIN pg_catalog.pg_type t ON t.oid = pg_catalog.to_regtype(written) AND typtype = 'e'
JOIN pg_catalog.pg_namespace n ON n.oid = typnamespace
WHERE typacl IS NULL
  AND pg_catalog.pg_get_userbyid(typowner) = current_user
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_default_acl WHERE defaclobjtype = 'T')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_description
                  WHERE objoid = t.oid AND classoid = 'pg_catalog.pg_type'::regclass)
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_class c ON classid = 'pg_catalog.pg_class'::regclass AND c.oid = objid
    WHERE refclassid = 'pg_catalog.pg_type'::regclass AND refobjid IN (t.oid, typarray)
      AND NOT (classid = 'pg_catalog.pg_type'::regclass AND objid = typarray)
      AND classid <> 'pg_catalog.pg_attrdef'::regclass
      AND NOT (c.oid IS NOT NULL AND objsubid > 0 AND relkind IN ('r', 'p')))
""")


def enums_in_use(
    connection: sa.Connection, statements: Iterable[Statement]
) -> tuple[EnumInUse, ...]:
    """Give the enums in use that the statements rename or drop."""
    names = [name for statement in statements for name in _named(statement.node)]
    if not names:
        return ()
    documents = connection.execute(ENUMS, {"names": names}).scalars()
    return tuple(
        EnumInUse(
            name=QualifiedName(schema=found["schema"], name=found["name"]),
            labels=tuple(found["labels"] or ()),
            columns=frozenset(
                (QualifiedName(schema=schema, name=table), column)
                for schema, table, column in found["columns"]
            ),
        )
        for found in map(json.loads, documents)
    )


def _named(node: Message) -> list[str]:
    if isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_TYPE:
        return [".".join(map(quote, strings(node.object.list.items)))]
    if isinstance(node, pb.DropStmt) and node.remove_type == pb.OBJECT_TYPE:
        return [".".join(map(quote, strings(item.type_name.names))) for item in node.objects]
    return []
