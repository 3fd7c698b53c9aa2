"""What the catalog knows of the relations that a statement names: the facts of a plan.

Read-only: two short queries under the session's own search_path. They lock no user relation, so
they cannot wait behind a schema change; but a table is asked whether it has rows where a new column
needs a value for each. Transactions are the caller's.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from postgast import pg_query_pb2 as pb

from holdfast.observe.changed_table import changed_table
from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.column_values import columns_without_values
from holdfast.rewrite.facts import (
    Column,
    Constraint,
    ConstraintKind,
    DefaultPartition,
    DependentView,
    Facts,
    Index,
    Reference,
    Relation,
    RelationKind,
)
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.new_relations import NewRelations
from holdfast.rewrite.referenced_objects import functions_in, relations_in, types_in
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import strings

# One row: the session, the functions that always give the same result within a statement, the
# domains that have a constraint of their own or below.
SESSION = sa.text("""
SELECT json_build_object(
  'server_version', current_setting('server_version_num')::int,
  'current_schema', coalesce(current_schema(), ''),
  'time_zone', current_setting('TimeZone'),
  'steady_functions', ARRAY(
    SELECT proname FROM pg_catalog.pg_proc WHERE proname = ANY (CAST(:functions AS text[]))
    GROUP BY proname HAVING NOT bool_or(provolatile = 'v')),
  'defaulting_domains', ARRAY(
    SELECT typname FROM pg_catalog.pg_type WHERE typtype = 'd' AND typdefault IS NOT NULL
      AND typname = ANY (CAST(:types AS text[]))),
  'constrained_domains', ARRAY(
    WITH RECURSIVE chain (name, oid) AS (
      SELECT typname, oid FROM pg_catalog.pg_type
      WHERE typtype = 'd' AND typname = ANY (CAST(:types AS text[]))
      UNION ALL
      SELECT chain.name, typbasetype FROM chain JOIN pg_catalog.pg_type USING (oid)
      WHERE typtype = 'd')
    SELECT DISTINCT chain.name FROM chain JOIN pg_catalog.pg_type USING (oid)
    WHERE typnotnull OR EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contypid = chain.oid))
)::text
""")

# One row per written name that exists: the relation, or the table of the index, with all it has.
RELATIONS = sa.text("""
WITH asked AS (
  SELECT written, place, to_regclass(written)::oid AS oid
  FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS asked (written, place)
)
SELECT asked.place, json_build_object(
  'index', CASE WHEN asked.oid <> c.oid THEN (
    SELECT relname FROM pg_catalog.pg_class WHERE oid = asked.oid) END,
  'is_populated', c.relispopulated,
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'rows', CASE WHEN c.reltuples >= 0 THEN c.reltuples::int8
    ELSE pg_catalog.pg_stat_get_live_tuples(c.oid) END,
  'bytes', c.relpages::int8 * current_setting('block_size')::int8,
  'columns', ARRAY(
    SELECT json_build_object('name', attname, 'type', format_type(atttypid, atttypmod),
      'not_null', attnotnull, 'has_default', atthasdef AND attgenerated = '',
      'is_generated', attgenerated <> '', 'is_identity', attidentity <> '')
    FROM pg_catalog.pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
  'constraints', ARRAY(
    SELECT json_build_object('name', conname, 'kind', contype, 'is_validated', convalidated,
      'definition', pg_get_constraintdef(k.oid),
      'comment', obj_description(k.oid, 'pg_constraint'),
      'columns', ARRAY(SELECT attname FROM unnest(conkey) WITH ORDINALITY AS key (attnum, place)
        JOIN pg_catalog.pg_attribute USING (attnum) WHERE attrelid = c.oid ORDER BY key.place),
      'references', (SELECT json_build_array(s.nspname, r.relname) FROM pg_catalog.pg_class r
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE r.oid = confrelid))
    FROM pg_catalog.pg_constraint k WHERE conrelid = c.oid ORDER BY conname),
  'indexes', ARRAY(
    SELECT json_build_object('schema', s.nspname, 'name', i.relname, 'is_valid', indisvalid,
      'is_unique', indisunique, 'is_partitioned', i.relkind = 'I',
      'has_expressions', indexprs IS NOT NULL OR indpred IS NOT NULL,
      'definition', pg_get_indexdef(indexrelid),
      'columns', ARRAY(SELECT attname FROM pg_catalog.pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND (attnum = ANY (indkey) OR attnum IN (
          SELECT refobjsubid FROM pg_catalog.pg_depend
          WHERE classid = 'pg_class'::regclass AND objid = indexrelid
            AND refclassid = 'pg_class'::regclass AND refobjid = c.oid)) ORDER BY attnum),
      'keys', ARRAY(SELECT attname FROM unnest(indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute USING (attnum)
        WHERE attrelid = c.oid AND k.place <= indnkeyatts ORDER BY k.place),
      'constraint', (SELECT conname FROM pg_catalog.pg_constraint
        WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x')))
    FROM pg_catalog.pg_index JOIN pg_catalog.pg_class i ON i.oid = indexrelid
    JOIN pg_catalog.pg_namespace s ON s.oid = i.relnamespace
    WHERE indrelid = c.oid ORDER BY i.relname),
  'referenced_by', ARRAY(
    SELECT json_build_object('schema', s.nspname, 'name', r.relname, 'constraint', conname,
      'columns', ARRAY(SELECT attname FROM pg_catalog.pg_attribute
        WHERE attrelid = c.oid AND attnum = ANY (confkey) ORDER BY attnum))
    FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_class r ON r.oid = conrelid
    JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
    WHERE contype = 'f' AND confrelid = c.oid ORDER BY s.nspname, r.relname, conname),
  'triggers', ARRAY(
    SELECT tgname FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
    ORDER BY tgname),
  'descendants', ARRAY(
    WITH RECURSIVE below (oid) AS (
      SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = c.oid
      UNION SELECT inhrelid FROM pg_catalog.pg_inherits JOIN below ON inhparent = below.oid)
    SELECT json_build_array(s.nspname, r.relname) FROM below
    JOIN pg_catalog.pg_class r USING (oid) JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
    WHERE r.relkind IN ('r', 'p', 'f') ORDER BY s.nspname, r.relname),
  'dependent_views', ARRAY(
    SELECT json_build_object('schema', s.nspname, 'name', v.relname,
      'columns', array_remove(array_agg(DISTINCT attname), NULL))
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
    JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
    JOIN pg_catalog.pg_namespace s ON s.oid = v.relnamespace
    LEFT JOIN pg_catalog.pg_attribute ON attrelid = c.oid AND attnum = d.refobjsubid AND attnum > 0
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = c.oid AND v.oid <> c.oid
    GROUP BY s.nspname, v.relname ORDER BY s.nspname, v.relname),
  'partition_of', CASE WHEN c.relispartition THEN (
    SELECT json_build_array(s.nspname, r.relname) FROM pg_catalog.pg_inherits
    JOIN pg_catalog.pg_class r ON r.oid = inhparent
    JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE inhrelid = c.oid) END,
  'default_partition', (
    SELECT json_build_object('schema', s.nspname, 'name', r.relname,
      'rows', greatest(r.reltuples, 0)::int8)
    FROM pg_catalog.pg_partitioned_table p JOIN pg_catalog.pg_class r ON r.oid = partdefid
    JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE partrelid = c.oid),
  'taken_names', ARRAY(
    SELECT relname FROM pg_catalog.pg_class
    WHERE relnamespace = n.oid AND starts_with(relname, left(c.relname, 10))
    UNION SELECT conname FROM pg_catalog.pg_constraint
    WHERE connamespace = n.oid AND starts_with(conname, left(c.relname, 10)))
)::text
FROM asked
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = asked.oid
JOIN pg_catalog.pg_class c ON c.oid = coalesce(x.indrelid, asked.oid)
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY asked.place
""")


# A row per table with a column of the domain, or of one that is based on it.
TABLES_OF_DOMAINS = sa.text("""
WITH RECURSIVE domains (oid) AS (
  SELECT oid FROM pg_catalog.pg_type WHERE typtype = 'd' AND typname = :domain
  UNION SELECT t.oid FROM pg_catalog.pg_type t JOIN domains ON t.typbasetype = domains.oid)
SELECT DISTINCT n.nspname, c.relname FROM pg_catalog.pg_attribute a
JOIN domains ON a.atttypid = domains.oid
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT a.attisdropped AND c.relkind IN ('r', 'm')
""")


def facts_for(connection: sa.Connection, *statements: Statement, new: NewRelations) -> Facts:
    """The facts of one statement or several, as the session that will run them sees them."""
    written = sorted(
        {name for each in statements for name in relations_in(each)}
        | {name for each in statements for name in _tables_of_domain(connection, each)}
    )
    functions = sorted({name for each in statements for name in functions_in(each)})
    types = sorted({name for each in statements for name in types_in(each)})
    parameters = {"functions": functions, "types": types}
    session = json.loads(connection.execute(SESSION, parameters).scalar_one())
    names = [".".join(quote(part) for part in name if part) for name in written]
    rows = connection.execute(RELATIONS, {"names": names}).all() if names else []
    found = [(written[place - 1], json.loads(document)) for place, document in rows]
    relations = {name: _relation(document, new=new) for name, document in found}
    # A table is also found by its own name: an index or a constraint leads there.
    by_name = {(r.name.schema, r.name.name): r for r in relations.values()}
    return Facts(
        server_major=session["server_version"] // 10000,
        current_schema=session["current_schema"],
        time_zone=session["time_zone"],
        relations=by_name
        | {name: relations[name] for name, document in found if document["index"] is None},
        indexes={
            name: next(i for i in relations[name].indexes if i.name.name == document["index"])
            for name, document in found
            if document["index"] is not None
        },
        new=new,
        taken_names=_taken_names(document for _, document in found),
        volatile_functions=frozenset(functions) - frozenset(session["steady_functions"]),
        constrained_domains=frozenset(session["constrained_domains"]),
        defaulting_domains=frozenset(session["defaulting_domains"]),
        with_rows=_with_rows(connection, statements, by_name.values()),
        type_changes=_type_changes(connection, statements, by_name, relations),
    )


def _type_changes(
    connection: sa.Connection,
    statements: Iterable[Statement],
    by_name: Mapping[tuple[str, str], Relation],
    written: Mapping[tuple[str, str], Relation],
) -> tuple[ChangedTable, ...]:
    found = []
    for statement in statements:
        if isinstance(statement.node, pb.AlterTableStmt):
            relation = statement.node.relation
            name = (relation.schemaname, relation.relname)
            table = written.get(name) or by_name.get(name)
            found.append(changed_table(connection, statement, table))
    return tuple(each for each in found if each is not None)


def _tables_of_domain(connection: sa.Connection, statement: Statement) -> list[tuple[str, str]]:
    """ALTER DOMAIN names no table, but acts on all that use the domain."""
    if not isinstance(statement.node, pb.AlterDomainStmt):
        return []
    parameters = {"domain": strings(statement.node.type_name)[-1]}
    rows = connection.execute(TABLES_OF_DOMAINS, parameters).all()
    return [(schema, name) for schema, name in rows]


def _with_rows(
    connection: sa.Connection, statements: Iterable[Statement], relations: Iterable[Relation]
) -> frozenset[QualifiedName]:
    """Which tables are not empty: asked only where a new column needs a value for each row."""
    if not any(column for each in statements for column in columns_without_values(each)):
        return frozenset()
    return frozenset(
        relation.name
        for relation in relations
        if relation.kind is RelationKind.TABLE and _has_rows(connection, relation.name)
    )


def _has_rows(connection: sa.Connection, name: QualifiedName) -> bool:
    table = sa.table(name.name, schema=name.schema)
    return bool(connection.execute(sa.select(sa.exists().select_from(table))).scalar_one())


def _relation(document: Mapping[str, Any], *, new: NewRelations) -> Relation:
    name = QualifiedName(schema=document["schema"], name=document["name"])
    return Relation(
        oid=document["oid"],
        name=name,
        kind=RelationKind(document["kind"]),
        # A temporary table belongs to this session alone.
        is_new=name in new or name.schema.startswith("pg_temp"),
        rows=document["rows"],
        bytes=document["bytes"],
        columns=tuple(Column(**column) for column in document["columns"]),
        constraints=tuple(_constraint(found) for found in document["constraints"]),
        indexes=tuple(_index(index, table=name) for index in document["indexes"]),
        referenced_by=tuple(_reference(found) for found in document["referenced_by"]),
        triggers=tuple(document["triggers"]),
        descendants=tuple(_pair(pair) for pair in document["descendants"]),
        dependent_views=tuple(_view(view) for view in document["dependent_views"]),
        is_populated=document["is_populated"],
        partition_of=_pair(document["partition_of"]) if document["partition_of"] else None,
        default_partition=_default(document["default_partition"]),
    )


def _constraint(document: Mapping[str, Any]) -> Constraint:
    return Constraint(
        name=document["name"],
        kind=ConstraintKind(document["kind"]),
        columns=tuple(document["columns"]),
        definition=document["definition"],
        comment=document["comment"],
        is_validated=document["is_validated"],
        references=_pair(document["references"]) if document["references"] else None,
    )


def _index(document: Mapping[str, Any], *, table: QualifiedName) -> Index:
    return Index(
        name=QualifiedName(schema=document["schema"], name=document["name"]),
        table=table,
        columns=tuple(document["columns"]),
        definition=document["definition"],
        is_valid=document["is_valid"],
        is_unique=document["is_unique"],
        is_partitioned=document["is_partitioned"],
        has_expressions=document["has_expressions"],
        constraint=document["constraint"],
        keys=tuple(document["keys"]),
    )


def _reference(document: Mapping[str, Any]) -> Reference:
    return Reference(
        table=QualifiedName(schema=document["schema"], name=document["name"]),
        constraint=document["constraint"],
        columns=tuple(document["columns"]),
    )


def _view(document: Mapping[str, Any]) -> DependentView:
    return DependentView(
        name=QualifiedName(schema=document["schema"], name=document["name"]),
        columns=tuple(document["columns"]),
    )


def _default(document: Mapping[str, Any] | None) -> DefaultPartition | None:
    if document is None:
        return None
    name = QualifiedName(schema=document["schema"], name=document["name"])
    return DefaultPartition(name=name, rows=document["rows"])


def _pair(pair: list[str]) -> QualifiedName:
    return QualifiedName(schema=pair[0], name=pair[1])


def _taken_names(documents: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    taken: dict[str, frozenset[str]] = {}
    for document in documents:
        schema = document["schema"]
        taken[schema] = taken.get(schema, frozenset()) | frozenset(document["taken_names"])
    return taken
