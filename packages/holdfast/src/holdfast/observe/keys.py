"""Keys that will run out: sequences by the share that is used, foreign keys narrower than their key.

Read-only, no lock that anybody meets; the last values come from the sequences, not from the tables.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

# One row per sequence that owns a column: how far it is, and how far sequence and column can go.
SEQUENCES = text(
    """
    SELECT format('%I.%I.%I', tn.nspname, t.relname, a.attname) AS column_name,
           format('%I.%I', sn.nspname, s.relname) AS sequence_name,
           format_type(a.atttypid, NULL) AS column_type, format_type(q.seqtypid, NULL) AS sequence_type,
           coalesce(pg_sequence_last_value(s.oid), 0)::float8 / least(q.seqmax,
             CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
             ELSE 9223372036854775807 END)::float8 AS used
    FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE q.seqincrement > 0 AND NOT q.seqcycle
      AND CASE s.relkind WHEN 'S' THEN has_sequence_privilege(s.oid, 'USAGE, SELECT') END
      AND tn.nspname NOT IN ('holdfast', 'pg_catalog', 'information_schema')
    ORDER BY 1
    """
)
# One row per foreign key with a column that holds fewer numbers than the one it points to.
NARROWER = text(
    """
    SELECT format('%I.%I.%I', n.nspname, t.relname, a.attname) AS column_name,
           format_type(a.atttypid, NULL) AS column_type,
           format('%I.%I', r.relname, b.attname) AS key_name, format_type(b.atttypid, NULL) AS key_type
    FROM pg_constraint k, unnest(k.conkey, k.confkey) AS pair (here, there),
      pg_class t, pg_namespace n, pg_class r, pg_attribute a, pg_attribute b
    WHERE k.contype = 'f' AND k.conparentid = 0 AND t.oid = k.conrelid
      AND n.oid = t.relnamespace AND r.oid = k.confrelid
      AND a.attrelid = k.conrelid AND a.attnum = pair.here AND b.attrelid = k.confrelid AND b.attnum = pair.there
      AND (a.atttypid, b.atttypid) IN (('int2'::regtype, 'int4'::regtype), ('int2'::regtype, 'int8'::regtype),
        ('int4'::regtype, 'int8'::regtype))
    ORDER BY 1
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedColumn:
    """A column that a sequence fills; `used`: the share of the numbers that it can still give, from 0 to 1."""

    column: str
    column_type: str
    sequence: str
    sequence_type: str
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowReference:
    """A foreign key that cannot hold every value of its key."""

    column: str
    column_type: str
    key: str
    key_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The columns whose numbers may run out, and the narrower columns that refer to wider ones."""

    numbered: tuple[NumberedColumn, ...] = ()
    narrow: tuple[NarrowReference, ...] = ()


def keys(connection: Connection) -> Keys:
    """The keys that may run out, of the tables that the role of the connection may see."""
    return Keys(
        numbered=tuple(
            NumberedColumn(
                column=row.column_name,
                column_type=row.column_type,
                sequence=row.sequence_name,
                sequence_type=row.sequence_type,
                used=row.used,
            )
            for row in connection.execute(SEQUENCES)
        ),
        narrow=tuple(
            NarrowReference(
                column=row.column_name,
                column_type=row.column_type,
                key=row.key_name,
                key_type=row.key_type,
            )
            for row in connection.execute(NARROWER)
        ),
    )
