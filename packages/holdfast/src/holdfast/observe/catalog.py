"""Reads from the catalog what a plan has to know of the relations that statements name: their facts.

Read-only: short queries under the session's own search_path, each look-up by an index of the catalog. Where they
open a table, they wait for whoever has it locked, but only briefly (TableIsLocked). Transactions are the caller's.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from postgast import pg_query_pb2 as pb

from holdfast.observe.brief_wait import brief, naming
from holdfast.observe.changed_table import changed_table, columns_that_go, table_of_columns
from holdfast.observe.enums import enums_in_use
from holdfast.observe.partition_bounds import partition_bound
from holdfast.observe.placements import PLACEMENT, placement_from
from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.facts import (
    Column,
    Constraint,
    ConstraintKind,
    DefaultPartition,
    DependentView,
    EnumInUse,
    Facts,
    Index,
    NewRelations,
    PartitionBound,
    Reference,
    Relation,
    RelationKind,
    Releases,
    SideBySide,
)
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.online import looks_at_partitions, names_to_choose_from
from holdfast.rewrite.operations.add_column import columns_without_values
from holdfast.rewrite.partitions.bounds import added_partition
from holdfast.rewrite.rewriting import dropped_constraints, dropped_indexes
from holdfast.rewrite.statement import (
    Statement,
    WrittenName,
    functions_in,
    operators_in,
    relations_in,
    types_in,
)
from holdfast.rewrite.tree import strings

SESSION = sa.text("""
SELECT current_setting('server_version_num')::int AS server_version,
  to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS is_citus,
  current_setting('holdfast.placements', true) AS placements,
  coalesce(current_schema(), '') AS current_schema, current_setting('TimeZone') AS time_zone,
  coalesce(nullif(current_setting('holdfast.now', true), ''), now()::text) AS now
""")

# One row: of these functions, operators and types those that need a second look.
# Steady: the same result within a statement. Even: the same result in several transactions, except for now().
CALLS = sa.text("""
SELECT json_build_object(
  'steady_functions', ARRAY(
    SELECT proname FROM pg_catalog.pg_proc WHERE proname = ANY (CAST(:functions AS text[]))
    GROUP BY proname HAVING NOT bool_or(provolatile = 'v')),
  'even_functions', ARRAY(
    SELECT proname FROM pg_catalog.pg_proc WHERE proname = ANY (CAST(:functions AS text[]))
    GROUP BY proname HAVING bool_and(provolatile = 'i' OR (
      provolatile = 's' AND pronamespace = 'pg_catalog'::regnamespace AND prolang <> 14))),
  'uneven_operators', ARRAY(
    SELECT oprname FROM pg_catalog.pg_operator JOIN pg_catalog.pg_proc p ON p.oid = oprcode
    WHERE oprname = ANY (CAST(:operators AS text[])) AND provolatile <> 'i'
      AND pronamespace <> 'pg_catalog'::regnamespace),
  'uneven_casts', ARRAY(
    SELECT typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_cast ON casttarget = t.oid
    JOIN pg_catalog.pg_proc p ON p.oid = castfunc
    WHERE typname = ANY (CAST(:types AS text[])) AND provolatile <> 'i'
      AND pronamespace <> 'pg_catalog'::regnamespace),
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

# One row per written name that exists: the relation, or the table of the index.
NAMES = sa.text("""
SELECT asked.place, c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name,
  c.relkind::text AS kind, c.relhassubclass AS has_descendants,
  CASE WHEN x.indexrelid IS NOT NULL THEN (
    SELECT relname FROM pg_catalog.pg_class WHERE oid = x.indexrelid) END AS index_name
FROM (
  SELECT place, to_regclass(written)::oid AS oid
  FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS asked (written, place)
) AS asked
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = asked.oid
JOIN pg_catalog.pg_class c ON c.oid = coalesce(x.indrelid, asked.oid)
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY asked.place
""")

# One row per name that a relation or a constraint has, whatever its schema.
TAKEN = sa.text("""
SELECT nspname AS schema, relname AS name FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
WHERE relname = ANY (CAST(:names AS name[]))
UNION SELECT nspname, conname FROM pg_catalog.pg_constraint
JOIN pg_catalog.pg_namespace n ON n.oid = connamespace
WHERE conname = ANY (CAST(:names AS name[]))
""")

# One row per relation, with all it has.
OF_RELATIONS = """
SELECT c.oid::int8 AS oid, json_build_object(
  'is_populated', c.relispopulated, 'placement', NULL,
  'owner', pg_catalog.pg_get_userbyid(relowner),
  'is_owned', pg_catalog.pg_has_role(relowner, 'USAGE'),
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'rows', CASE WHEN c.reltuples >= 0 THEN c.reltuples::int8
    ELSE pg_catalog.pg_stat_get_live_tuples(c.oid) END,
  'bytes', c.relpages::int8 * current_setting('block_size')::int8,
  'columns', ARRAY(
    SELECT json_build_object('name', attname, 'type', format_type(atttypid, atttypmod),
      'not_null', attnotnull, 'has_default', atthasdef AND attgenerated = '',
      'time_default', CASE WHEN attgenerated = ''
        AND pg_get_expr(adbin, adrelid) ~* '\\m(now\\(|current_(date|time)|localtime|transaction_timestamp)'
        THEN pg_get_expr(adbin, adrelid) ELSE '' END,
      'is_generated', attgenerated <> '', 'is_virtual', attgenerated = 'v', 'is_identity', attidentity <> '',
      'has_uneven_default', coalesce(
        pg_get_expr(adbin, adrelid) ~* '\\m(now\\(|current_|localtime|(transaction|statement)_timestamp)'
        OR EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
          WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = k.oid
            AND d.refclassid = 'pg_proc'::regclass AND provolatile <> 'i'), false))
    FROM pg_catalog.pg_attribute
    LEFT JOIN pg_catalog.pg_attrdef k ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
  'constraints', ARRAY(
    SELECT json_build_object('name', conname, 'kind', contype, 'is_validated', convalidated,
      'definition', pg_get_constraintdef(k.oid),
      'comment', obj_description(k.oid, 'pg_constraint'), 'is_of_parent', conparentid <> 0,
      'columns', ARRAY(SELECT attname FROM unnest(conkey) WITH ORDINALITY AS key (attnum, place)
        JOIN pg_catalog.pg_attribute USING (attnum) WHERE attrelid = c.oid ORDER BY key.place),
      'references', (SELECT json_build_array(s.nspname, r.relname) FROM pg_catalog.pg_class r
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE r.oid = confrelid))
    FROM pg_catalog.pg_constraint k WHERE conrelid = c.oid ORDER BY conname),
  'has_uneven_checks', EXISTS (
    SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d ON d.objid = k.oid
    JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
    WHERE k.conrelid = c.oid AND k.contype = 'c' AND d.classid = 'pg_constraint'::regclass
      AND d.refclassid = 'pg_proc'::regclass AND provolatile <> 'i'),
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
        WHERE conrelid = c.oid AND conindid = indexrelid AND contype IN ('p', 'u', 'x')),
      'parent', (SELECT json_build_array(s.nspname, r.relname) FROM pg_catalog.pg_inherits
        JOIN pg_catalog.pg_class r ON r.oid = inhparent
        JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE inhrelid = indexrelid))
    FROM pg_catalog.pg_index JOIN pg_catalog.pg_class i ON i.oid = indexrelid
    JOIN pg_catalog.pg_namespace s ON s.oid = i.relnamespace
    WHERE indrelid = c.oid ORDER BY i.relname),
  'referenced_by', ARRAY(
    SELECT json_build_object('schema', s.nspname, 'name', r.relname, 'constraint', conname,
      'definition', pg_get_constraintdef(pg_constraint.oid),
      'columns', ARRAY(SELECT attname FROM pg_catalog.pg_attribute
        WHERE attrelid = c.oid AND attnum = ANY (confkey) ORDER BY attnum))
    FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_class r ON r.oid = conrelid
    JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
    WHERE contype = 'f' AND confrelid = c.oid AND pg_constraint.oid IN (
      SELECT objid FROM pg_catalog.pg_depend WHERE classid = 'pg_constraint'::regclass
        AND refclassid = 'pg_class'::regclass AND refobjid = c.oid) ORDER BY s.nspname, r.relname, conname),
  'published_by', (SELECT pubname FROM pg_catalog.pg_publication p
    WHERE puballtables
      OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel x WHERE x.prpubid = p.oid AND x.prrelid = c.oid)
      OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace x
        WHERE x.pnpubid = p.oid AND x.pnnspid = c.relnamespace)
    ORDER BY pubname LIMIT 1),
  'triggers', ARRAY(
    SELECT tgname FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
    ORDER BY tgname),
  'update_triggers', ARRAY(
    SELECT tgname FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
      AND tgtype & 16 <> 0 AND array_length(tgattr::int2[], 1) IS NULL AND tgenabled IN ('O', 'A')
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
    JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE partrelid = c.oid)
)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (CAST(CAST(:oids AS text[]) AS oid[]))
"""
RELATIONS = brief(OF_RELATIONS)
# This includes tables of a Citus cluster.
RELATIONS_ON_CITUS = brief(
    OF_RELATIONS.replace("'placement', NULL", f"'placement', ({PLACEMENT.format(oid='c.oid')})")
)

# A row per partition, at any depth; not for one that is being detached.
PARTITIONS = sa.text("""
WITH RECURSIVE below (root, oid) AS (
  SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits
  WHERE inhparent = ANY (CAST(CAST(:oids AS text[]) AS oid[])) AND NOT inhdetachpending
  UNION SELECT root, inhrelid FROM pg_catalog.pg_inherits JOIN below ON inhparent = below.oid
  WHERE NOT inhdetachpending)
SELECT root::int8, below.oid::int8, nspname AS schema, relname AS name FROM below
JOIN pg_catalog.pg_class c ON c.oid = below.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY below.oid
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

# The names of those tables that are not empty: what is asked of each is a value here, see brief_wait.py.
# Without a column: to write the name of one as XML, a server has to be built with libxml.
WITH_ROWS = brief("""
SELECT name FROM unnest(CAST(:tables AS text[])) AS asked (name)
WHERE query_to_xml(format('SELECT FROM %s LIMIT 1', name), false, true, '')::text <> ''
""")


def facts_for(
    connection: sa.Connection,
    *statements: Statement,
    new: NewRelations,
    side_by_side: SideBySide | None = None,
) -> Facts:
    """Give the facts of one statement or several, as the session that will run them sees them."""
    known = KnownCatalog(side_by_side=side_by_side or SideBySide())
    return known.facts_for(connection, *statements, new=new)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A relation under the name that was asked for; `index`: the name is that of its index."""

    relation: Relation
    index: str | None


@dataclass(kw_only=True)
class KnownCatalog:
    """Facts that were read so far, so that nothing is asked twice; to be forgotten when the catalog changes."""

    side_by_side: SideBySide = field(default_factory=SideBySide)
    session: Any = None
    names: dict[WrittenName, _Found | None] = field(default_factory=dict)
    relations: dict[int, Relation] = field(default_factory=dict)
    taken: dict[str, frozenset[str]] = field(default_factory=dict)  # the schemas that have a name
    calls: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def forget(self) -> None:
        """Forget everything: a statement was executed, or a setting has changed."""
        self.session = None
        for known in (self.names, self.relations, self.taken, self.calls):
            known.clear()

    def facts_for(
        self, connection: sa.Connection, *statements: Statement, new: NewRelations
    ) -> Facts:
        """Give facts, reading what is not known yet; of the revision's own new relations only the names."""
        if self.session is None:
            self.session = connection.execute(SESSION).one()
        asked = [self._names_asked(each, new=new) for each in statements]
        written = sorted(
            {name for names in asked for name in names}
            | {name for each in statements for name in _tables_of_domain(connection, each)}
        )
        filled = {name for each in statements for name in _filled(each)}
        unknown = [name for name in written if not self._is_known(name, filled)]
        self._look_up(unknown, connection, new=new, filled=filled)
        self._look_at_partitions(connection, statements, new=new)
        found = {name: known for name in written if (known := self.names[name]) is not None}
        # A table is also found by its own name: an index or a constraint leads there.
        by_name = {(r.name.schema, r.name.name): r for r in (f.relation for f in found.values())}
        of = self._ask_about_calls(connection, statements)
        return Facts(
            server_major=self.session.server_version // 10000,
            current_schema=self.session.current_schema,
            time_zone=self.session.time_zone,
            relations=by_name | {name: f.relation for name, f in found.items() if f.index is None},
            indexes={
                name: _index_named(f.relation, f.index)
                for name, f in found.items()
                if f.index is not None
            },
            new=new,
            taken_names=self._taken(
                connection,
                [
                    name
                    for each, names in zip(statements, asked, strict=True)
                    if names
                    for name in names_to_choose_from(each, tables=by_name.values())
                ],
            ),
            volatile_functions=of["volatile_functions"],
            uneven_functions=of["uneven_functions"],
            uneven_operators=of["uneven_operators"],
            uneven_casts=of["uneven_casts"],
            constrained_domains=of["constrained_domains"],
            defaulting_domains=of["defaulting_domains"],
            with_rows=_with_rows(connection, statements, by_name.values()),
            type_changes=_type_changes(connection, statements, by_name, found),
            bounds=_bounds(connection, statements, found),
            now=self.session.now,
            enums=_enums(connection, statements),
            side_by_side=replace(
                self.side_by_side, tables=self._two_releases(connection, statements, found)
            ),
        )

    def _two_releases(
        self,
        connection: sa.Connection,
        statements: Iterable[Statement],
        found: Mapping[WrittenName, _Found],
    ) -> tuple[ChangedTable, ...]:
        """Read the tables that lose or rename a column, with all that depends on it."""
        if self.side_by_side.releases is not Releases.TWO:
            return ()
        tables = []
        for statement in statements:
            written, columns = columns_that_go(statement)
            known = found.get(written) if written is not None else None
            if known is not None:
                tables.append(table_of_columns(connection, known.relation, columns))
        return tuple(each for each in tables if each is not None)

    def _names_asked(self, statement: Statement, *, new: NewRelations) -> frozenset[WrittenName]:
        """Give the names to ask about: of a new table, or an index on one, only what is not new."""
        node, names = statement.node, relations_in(statement)
        is_new_table = isinstance(node, pb.CreateStmt) and not node.if_not_exists
        is_new_index = isinstance(node, pb.IndexStmt) and not node.concurrent
        if not isinstance(node, pb.CreateStmt | pb.IndexStmt) or not (is_new_table or is_new_index):
            return names
        left = {name for name in names if self._qualified(name) not in new}
        own = (node.relation.schemaname, node.relation.relname)
        if is_new_table:
            return frozenset(left - {own})
        return frozenset(left) if own in left else frozenset()

    def _qualified(self, written: WrittenName) -> QualifiedName:
        return QualifiedName(schema=written[0] or self.session.current_schema, name=written[1])

    def _is_known(self, name: WrittenName, filled: Collection[WrittenName]) -> bool:
        """Whether nothing is missing; a table that gets rows also needs the defaults of its columns."""
        found = self.names.get(name)
        is_brief = found is not None and found.relation.is_new and not found.relation.columns
        return name in self.names and not (is_brief and name in filled)

    def _look_up(
        self,
        written: list[WrittenName],
        connection: sa.Connection,
        *,
        new: NewRelations,
        filled: Collection[WrittenName],
    ) -> None:
        if not written:
            return
        names = [".".join(quote(part) for part in name if part) for name in written]
        rows = connection.execute(NAMES, {"names": names}).all()
        in_full = {
            row.oid: QualifiedName(schema=row.schema, name=row.name)
            for row in rows
            if not _is_only_named(row, new=new) or written[row.place - 1] in filled
        }
        unknown = {oid: name for oid, name in in_full.items() if oid not in self.relations}
        self._read(unknown, connection, new=new)
        self.names.update(dict.fromkeys(written))
        for row in rows:
            relation = self.relations[row.oid] if row.oid in in_full else _only_named(row)
            self.names[written[row.place - 1]] = _Found(relation=relation, index=row.index_name)

    def _read(
        self, names: Mapping[int, QualifiedName], connection: sa.Connection, *, new: NewRelations
    ) -> None:
        if not names:
            return
        parameters = {"oids": [str(oid) for oid in sorted(names)]}
        # On a scratch server, which has no Citus: those of the cluster that it stands for.
        placements = json.loads(self.session.placements or "{}")
        asked = RELATIONS_ON_CITUS if self.session.is_citus else RELATIONS
        with naming(tuple(names.values())):
            rows = connection.execute(asked, parameters).all()
        for oid, document in rows:
            self.relations[oid] = _relation(json.loads(document), new=new, placements=placements)

    def _look_at_partitions(
        self, connection: sa.Connection, statements: Iterable[Statement], *, new: NewRelations
    ) -> None:
        """Read the partitions of each partitioned table, if a plan depends on them and they are not known."""
        roots = {
            found.relation.oid: found.relation
            for found in self.names.values()
            if found is not None and found.relation.is_partitioned and not found.relation.partitions
        }
        if not roots or not any(looks_at_partitions(each) for each in statements):
            return
        parameters = {"oids": [str(oid) for oid in roots]}
        below = connection.execute(PARTITIONS, parameters).all()
        names = {row.oid: QualifiedName(schema=row.schema, name=row.name) for row in below}
        unknown = {oid: name for oid, name in names.items() if oid not in self.relations}
        self._read(unknown, connection, new=new)
        for root, relation in roots.items():
            parts = [self.relations[row.oid] for row in below if row.root == root]
            self.relations[root] = replace(
                relation, partitions=tuple(_depth_first(parts, top=relation.name))
            )
        for name, found in self.names.items():
            if found is not None and found.relation.oid in roots:
                relation = self.relations[found.relation.oid]
                self.names[name] = _Found(relation=relation, index=found.index)

    def _taken(self, connection: sa.Connection, names: Iterable[str]) -> dict[str, frozenset[str]]:
        wanted = set(names)
        if unknown := sorted(wanted - self.taken.keys()):
            schemas: dict[str, set[str]] = {name: set() for name in unknown}
            for row in connection.execute(TAKEN, {"names": unknown}):
                schemas[row.name].add(row.schema)
            self.taken.update({name: frozenset(found) for name, found in schemas.items()})
        taken: dict[str, set[str]] = {}
        for name in wanted:
            for schema in self.taken[name]:
                taken.setdefault(schema, set()).add(name)
        return {schema: frozenset(names) for schema, names in taken.items()}

    def _ask_about_calls(
        self, connection: sa.Connection, statements: Iterable[Statement]
    ) -> dict[str, frozenset[str]]:
        """Read what a plan has to know of the functions, operators and types of these statements."""
        wanted = {
            *(("functions", name) for each in statements for name in functions_in(each)),
            *(("operators", name) for each in statements for name in operators_in(each)),
            *(("types", name) for each in statements for name in types_in(each)),
        }
        if unknown := wanted - self.calls.keys():
            parameters = {
                kind: sorted(name for of, name in unknown if of == kind)
                for kind in ("functions", "operators", "types")
            }
            document = json.loads(connection.execute(CALLS, parameters).scalar_one())
            for kind, name in unknown:
                self.calls[kind, name] = frozenset(_properties(document, kind, name))
        return {
            each: frozenset(name for kind, name in wanted if each in self.calls[kind, name])
            for each in PROPERTIES
        }


PROPERTIES = (
    "volatile_functions",
    "uneven_functions",
    "uneven_operators",
    "uneven_casts",
    "constrained_domains",
    "defaulting_domains",
)


def _properties(document: Mapping[str, Any], kind: str, name: str) -> Iterable[str]:
    """Give the properties of functions, operators and types; an unknown function may do anything."""
    if kind == "functions":
        if name not in document["steady_functions"]:
            yield "volatile_functions"
        if name not in document["even_functions"]:
            yield "uneven_functions"
    elif kind == "operators":
        if name in document["uneven_operators"]:
            yield "uneven_operators"
    else:
        for each in ("uneven_casts", "constrained_domains", "defaulting_domains"):
            if name in document[each]:
                yield each


def _depth_first(below: list[Relation], *, top: QualifiedName) -> Iterator[Relation]:
    """Give the partitions in depth: each one, followed by its own."""
    for relation in below:
        if relation.partition_of == top:
            yield relation
            yield from _depth_first(below, top=relation.name)


def _filled(statement: Statement) -> Iterator[WrittenName]:
    """Give the tables to whose rows the statement's writes give values."""
    for kind in (pb.InsertStmt, pb.UpdateStmt, pb.MergeStmt):
        for write in statement.nodes(kind):
            yield write.relation.schemaname, write.relation.relname


def _is_only_named(row: Any, *, new: NewRelations) -> bool:
    """Whether only the name matters: a table that the revision has made and that has no partitions."""
    name = QualifiedName(schema=row.schema, name=row.name)
    return name in new and RelationKind(row.kind) is RelationKind.TABLE and not row.has_descendants


def _only_named(row: Any) -> Relation:
    name = QualifiedName(schema=row.schema, name=row.name)
    return Relation(oid=row.oid, name=name, kind=RelationKind(row.kind), is_new=True)


def _index_named(table: Relation, name: str) -> Index:
    found = (index for index in table.indexes if index.name.name == name)
    own = QualifiedName(schema=table.name.schema, name=name)
    return next(found, Index(name=own, table=table.name, columns=(), definition=""))


def _type_changes(
    connection: sa.Connection,
    statements: Iterable[Statement],
    by_name: Mapping[tuple[str, str], Relation],
    written: Mapping[WrittenName, _Found],
) -> tuple[ChangedTable, ...]:
    found = []
    new_types: list[str] = []
    dropped: dict[WrittenName, frozenset[str]] = {}
    indexes: set[str] = set()
    for statement in statements:
        match statement.node:
            case pb.CreateEnumStmt():
                new_types.append(statement.sql)
            case pb.DropStmt() as node:
                indexes |= dropped_indexes(node)
            case pb.AlterTableStmt(relation=relation) as node:
                name = (relation.schemaname, relation.relname)
                table = written[name].relation if name in written else by_name.get(name)
                gone = dropped.get(name, frozenset()) | dropped_constraints(node)
                dropped[name] = gone
                found.append(
                    changed_table(
                        connection, statement, table, new_types=new_types, dropped=gone | indexes
                    )
                )
    return tuple(each for each in found if each is not None)


def _enums(connection: sa.Connection, statements: Iterable[Statement]) -> tuple[EnumInUse, ...]:
    of_names = [each for each in statements if isinstance(each.node, pb.DropStmt | pb.RenameStmt)]
    return enums_in_use(connection, of_names) if of_names else ()


def _bounds(
    connection: sa.Connection,
    statements: Iterable[Statement],
    written: Mapping[WrittenName, _Found],
) -> tuple[PartitionBound, ...]:
    found = []
    for statement in statements:
        if not isinstance(statement.node, pb.AlterTableStmt | pb.CreateStmt):
            continue
        added = added_partition(statement.node)
        if added is not None:
            table, partition = (
                known.relation if (known := written.get((each.schemaname, each.relname))) else None
                for each in added[:2]
            )
            is_in_use = any(each and not each.is_new for each in (table, partition))
            found.append(partition_bound(connection, statement, table if is_in_use else None))
    return tuple(each for each in found if each is not None)


def _tables_of_domain(connection: sa.Connection, statement: Statement) -> list[tuple[str, str]]:
    """Give the tables that use the domain of an ALTER DOMAIN, which names none itself."""
    if not isinstance(statement.node, pb.AlterDomainStmt):
        return []
    parameters = {"domain": strings(statement.node.type_name)[-1]}
    rows = connection.execute(TABLES_OF_DOMAINS, parameters).all()
    return [(schema, name) for schema, name in rows]


def _with_rows(
    connection: sa.Connection, statements: Iterable[Statement], relations: Iterable[Relation]
) -> frozenset[QualifiedName]:
    """Give the tables that are not empty; asked only if a new column needs a value for each row."""
    changing = [each for each in statements if isinstance(each.node, pb.AlterTableStmt)]
    if not any(column for each in changing for column in columns_without_values(each)):
        return frozenset()
    tables = {str(each.name): each.name for each in relations if each.kind is RelationKind.TABLE}
    if not tables:
        return frozenset()
    with naming(tuple(tables.values())):
        found = connection.execute(WITH_ROWS, {"tables": list(tables)}).scalars().all()
    return frozenset(tables[name] for name in found)


def _relation(
    document: Mapping[str, Any], *, new: NewRelations, placements: Mapping[str, Any]
) -> Relation:
    name = QualifiedName(schema=document["schema"], name=document["name"])
    placement = document["placement"] or placements.get(str(name))
    shards = [json.loads(shard) for shard in placement["shards"]] if placement else []
    return Relation(
        oid=document["oid"],
        name=name,
        kind=RelationKind(document["kind"]),
        # A temporary table belongs to this session alone.
        is_new=name in new or name.schema.startswith("pg_temp"),
        rows=document["rows"] + sum(rows for rows, _ in shards),
        bytes=document["bytes"] + sum(size for _, size in shards),
        placement=placement_from(placement),
        columns=tuple(
            Column(**column, is_new=(name, column["name"]) in new.columns)
            for column in document["columns"]
        ),
        constraints=tuple(_constraint(found) for found in document["constraints"]),
        indexes=tuple(_index(index, table=name) for index in document["indexes"]),
        referenced_by=tuple(_reference(found) for found in document["referenced_by"]),
        triggers=tuple(document["triggers"]),
        update_triggers=tuple(document["update_triggers"]),
        descendants=tuple(_pair(pair) for pair in document["descendants"]),
        dependent_views=tuple(_view(view) for view in document["dependent_views"]),
        is_populated=document["is_populated"],
        has_uneven_checks=document["has_uneven_checks"],
        published_by=document["published_by"],
        owner=document["owner"],
        is_owned=document["is_owned"],
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
        is_of_parent=document["is_of_parent"],
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
        parent=_pair(document["parent"]) if document["parent"] else None,
    )


def _reference(document: Mapping[str, Any]) -> Reference:
    return Reference(
        table=QualifiedName(schema=document["schema"], name=document["name"]),
        constraint=document["constraint"],
        columns=tuple(document["columns"]),
        definition=document["definition"],
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
