"""One query per kind of object: kind, name, the object it belongs to, and its properties as a JSON object.

A property is text or null. https://www.postgresql.org/docs/current/functions-info.html has the pg_get_...def().
"""

# What people have made: not the system's, not holdfast's, not an extension's.
OF_PEOPLE = """
  n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'holdfast')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                  WHERE e.classid = '{catalog}'::regclass AND e.objid = {oid} AND e.deptype = 'e')
"""


SCHEMAS = """
SELECT 'schema' AS kind, quote_ident(n.nspname) AS name, NULL AS of, '{}' AS properties
FROM pg_catalog.pg_namespace n WHERE
"""

# Citus belongs to the cluster: a history cannot make one.
EXTENSIONS = """
SELECT 'extension' AS kind, quote_ident(extname) AS name, NULL AS of, '{}' AS properties
FROM pg_catalog.pg_extension WHERE extname NOT IN ('plpgsql', 'citus', 'citus_columnar')
"""

TABLES = """
SELECT 'table' AS kind, format('%I.%I', n.nspname, c.relname) AS name, NULL AS of, json_build_object(
  'kind', CASE c.relkind WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign' ELSE 'ordinary' END,
  'partition key', pg_get_partkeydef(c.oid),
  'partition bound', pg_get_expr(c.relpartbound, c.oid),
  'parents', (SELECT string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
              FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid),
  'persistence', CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END,
  'row security', CASE WHEN c.relforcerowsecurity THEN 'forced'
                       WHEN c.relrowsecurity THEN 'enabled' ELSE 'disabled' END,
  'replica identity', c.relreplident,
  'options', array_to_string(c.reloptions, ', '),
  'comment', obj_description(c.oid, 'pg_class'))::text AS properties
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND
"""

COLUMNS = """
SELECT 'column' AS kind, format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name,
  CASE c.relkind WHEN 'c' THEN 'type ' ELSE 'table ' END || format('%I.%I', n.nspname, c.relname) AS of,
  json_build_object(
  'type', format_type(a.atttypid, a.atttypmod),
  'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
  CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'expression' END, pg_get_expr(d.adbin, d.adrelid),
  'generated', CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END,
  'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
  'null', CASE WHEN NOT a.attnotnull THEN 'NULL'
               WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint k
                            WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated
                              AND k.conkey = ARRAY[a.attnum]) THEN 'NOT NULL NOT VALID'
               ELSE 'NOT NULL' END,
  'comment', col_description(c.oid, a.attnum))::text AS properties
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'c')
  AND
"""

# NOT NULL of PostgreSQL 18 is a property of the column here, as it is before. Citus hides its shards in pg_class only.
CONSTRAINTS = """
SELECT 'constraint' AS kind,
  format('%I on %I.%I', k.conname, n.nspname, coalesce(c.relname, t.typname)) AS name,
  CASE WHEN c.oid IS NULL THEN 'domain ' ELSE 'table ' END
    || format('%I.%I', n.nspname, coalesce(c.relname, t.typname)) AS of,
  json_build_object(
  'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
  'valid', CASE WHEN NOT k.convalidated THEN 'NOT VALID'
                WHEN NOT coalesce(i.indisvalid, true) THEN 'INVALID index' ELSE 'valid' END,
  'comment', obj_description(k.oid, 'pg_constraint'))::text AS properties
FROM pg_catalog.pg_constraint k
LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_catalog.pg_type t ON t.oid = k.contypid
JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u', 'x')
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND (k.conrelid = 0 OR c.oid IS NOT NULL) AND
"""  # Without those that a constraint owns.
INDEXES = """
SELECT 'index' AS kind, format('%I.%I', n.nspname, c.relname) AS name,
  CASE t.relkind WHEN 'm' THEN 'materialized view ' ELSE 'table ' END
    || format('%I.%I', n.nspname, t.relname) AS of,
  json_build_object(
  'definition', pg_get_indexdef(i.indexrelid),
  'valid', CASE WHEN i.indisvalid THEN 'valid' ELSE 'INVALID' END,
  'comment', obj_description(c.oid, 'pg_class'))::text AS properties
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                  WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
  AND
"""

SEQUENCES = """
SELECT 'sequence' AS kind, format('%I.%I', n.nspname, c.relname) AS name,
  'table ' || owner.table_name AS of,
  json_build_object(
  'type', format_type(s.seqtypid, NULL), 'start', s.seqstart::text, 'increment', s.seqincrement::text,
  'minimum', s.seqmin::text, 'maximum', s.seqmax::text, 'cache', s.seqcache::text,
  'cycle', s.seqcycle::text, 'owned by', owner.table_name || '.' || owner.column_name)::text AS properties
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT d.refobjid::regclass::text AS table_name, quote_ident(a.attname) AS column_name
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
    AND d.refclassid = 'pg_catalog.pg_class'::regclass) owner ON true
WHERE
"""

VIEWS = """
SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END AS kind,
  format('%I.%I', n.nspname, c.relname) AS name, NULL AS of, json_build_object(
  'definition', pg_get_viewdef(c.oid), 'options', array_to_string(c.reloptions, ', '),
  'comment', obj_description(c.oid, 'pg_class'))::text AS properties
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND
"""

FUNCTIONS = """
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind,
  p.oid::regprocedure::text AS name, NULL AS of, json_build_object(
  'definition', pg_get_functiondef(p.oid), 'comment', obj_description(p.oid, 'pg_proc'))::text AS properties
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a' AND
"""

TRIGGERS = """
SELECT 'trigger' AS kind, format('%I on %I.%I', g.tgname, n.nspname, c.relname) AS name,
  CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || format('%I.%I', n.nspname, c.relname) AS of,
  json_build_object(
  'definition', pg_get_triggerdef(g.oid),
  'enabled', CASE g.tgenabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled'
             WHEN 'R' THEN 'replica' ELSE 'always' END)::text AS properties
FROM pg_catalog.pg_trigger g
JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND
"""

TYPES = """
SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END AS kind,
  format('%I.%I', n.nspname, t.typname) AS name, NULL AS of, json_build_object(
  'labels', (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
             FROM pg_catalog.pg_enum WHERE enumtypid = t.oid),
  'base type', CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
  'subtype', (SELECT format_type(rngsubtype, NULL) FROM pg_catalog.pg_range WHERE rngtypid = t.oid),
  'default', t.typdefault,
  'null', CASE WHEN t.typnotnull THEN 'NOT NULL' ELSE 'NULL' END,
  'comment', obj_description(t.oid, 'pg_type'))::text AS properties
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND
"""

POLICIES = """
SELECT 'policy' AS kind, format('%I on %I.%I', p.polname, n.nspname, c.relname) AS name,
  'table ' || format('%I.%I', n.nspname, c.relname) AS of, json_build_object(
  'command', p.polcmd, 'permissive', p.polpermissive::text,
  'using', pg_get_expr(p.polqual, c.oid), 'check', pg_get_expr(p.polwithcheck, c.oid))::text AS properties
FROM pg_catalog.pg_policy p
JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE
"""

RULES = """
SELECT 'rule' AS kind, format('%I on %I.%I', r.rulename, n.nspname, c.relname) AS name,
  CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || format('%I.%I', n.nspname, c.relname) AS of,
  json_build_object('definition', pg_get_ruledef(r.oid))::text AS properties
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN' AND
"""

STATISTICS = """
SELECT 'statistics' AS kind, format('%I.%I', n.nspname, s.stxname) AS name,
  'table ' || s.stxrelid::regclass::text AS of,
  json_build_object('definition', pg_get_statisticsobjdef(s.oid))::text AS properties
FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
WHERE
"""


def _without_extensions(query: str, *, catalog: str, oid: str) -> str:
    """Leave the objects of extensions out. The query ends with WHERE or AND; rows have a catalog and an oid."""
    return query + OF_PEOPLE.format(catalog=f"pg_catalog.{catalog}", oid=oid)


QUERIES = (
    _without_extensions(SCHEMAS, catalog="pg_namespace", oid="n.oid"),
    EXTENSIONS,
    _without_extensions(TYPES, catalog="pg_type", oid="t.oid"),
    _without_extensions(TABLES, catalog="pg_class", oid="c.oid"),
    _without_extensions(COLUMNS, catalog="pg_class", oid="c.oid"),
    _without_extensions(CONSTRAINTS, catalog="pg_class", oid="coalesce(c.oid, 0)"),
    _without_extensions(INDEXES, catalog="pg_class", oid="t.oid"),
    _without_extensions(SEQUENCES, catalog="pg_class", oid="c.oid"),
    _without_extensions(VIEWS, catalog="pg_class", oid="c.oid"),
    _without_extensions(FUNCTIONS, catalog="pg_proc", oid="p.oid"),
    _without_extensions(TRIGGERS, catalog="pg_class", oid="c.oid"),
    _without_extensions(POLICIES, catalog="pg_class", oid="c.oid"),
    _without_extensions(RULES, catalog="pg_class", oid="c.oid"),
    _without_extensions(STATISTICS, catalog="pg_statistic_ext", oid="s.oid"),
)
