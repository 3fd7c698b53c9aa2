"""A column with two names: a second column, its shadow, and what keeps the two equal.

The shadow has the new name. Everything else stays on the column itself, so that in the end the shadow goes, the column
is renamed, and the schema is that of a plain RENAME COLUMN to the byte.
"""

import hashlib
from dataclasses import dataclass

from holdfast.rewrite.column_copy.facts import ChangedTable, ChangingColumn, Conversion
from holdfast.rewrite.column_copy.refusals import needs_replica_role
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import MAX_BYTES, QualifiedName, clip, free_name, quote

DISTURBED = "HF001"  # SQLSTATE: the triggers that keep the shadow equal have been touched
CARRIES_MORE = "HF002"  # SQLSTATE: something of others hangs on the shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A column, its second name, and what keeps both equal."""

    facts: ChangedTable
    name: str
    new_name: str

    @property
    def table(self) -> QualifiedName:
        """The table of the column."""
        return self.facts.table

    @property
    def column(self) -> ChangingColumn:
        """The column as it is before it is renamed."""
        return self.facts.column(self.name)

    @property
    def conversion(self) -> Conversion:
        """The conversion of the column to its own type."""
        found = self.facts.conversion(self.name)
        assert found is not None  # noqa: S101  # it was asked for
        return found

    @property
    def functions(self) -> tuple[str, str]:
        """The functions of the first and the last trigger, as SQL calls them."""
        return f"holdfast.{quote(self._own('first'))}()", f"holdfast.{quote(self._own('last'))}()"

    @property
    def counter(self) -> str:
        """The sequence that counts writes to the old name."""
        return f"holdfast.{quote(self._own('old'))}"

    @property
    def triggers(self) -> tuple[str, str]:
        """The first and the last trigger to fire, by the byte order of their names."""
        names = [trigger.name.encode() for trigger in self.facts.triggers if not trigger.is_ours]
        first = f"!!holdfast {self.column.attnum}"
        while names and first.encode() >= min(names):
            first = f" {first}"
        last = f"~~holdfast {self.column.attnum}"
        while names and last.encode() <= max(names):
            last = f"\U0010ffff{last}"
        return first, last

    @property
    def indexes(self) -> tuple[tuple[str, str], ...]:
        """Each index with the column as a key, and the name of its counterpart on the shadow."""
        taken = set(self.facts.taken)
        chosen = []
        for index in self.facts.indexes:
            if index.is_valid and not index.is_exclusion:
                name = free_name(index.name, label="holdfast", taken=taken)
                taken.add(name)
                chosen.append((index.name, name))
        return tuple(chosen)

    @property
    def differs(self) -> str:
        """An SQL condition: the two columns of a row have different values."""
        return self.differ("")

    def differ(self, row: str) -> str:
        """Write the condition that the two columns differ, for a row variable."""
        a, b = (f"{row}{quote(each)}" for each in (self.name, self.new_name))
        # IS DISTINCT FROM does not exist for json, xml and point.
        return f"NOT pg_catalog.record_image_eq(ROW({a}), ROW({b}))"

    @property
    def copying_settings(self) -> tuple[tuple[str, str], ...]:
        """The settings of the session that fills the shadow: no hidden row, no application triggers."""
        quiet = (("session_replication_role", "replica"),) if needs_replica_role(self.facts) else ()
        return (("row_security", "off"), *quiet)

    def lock(self, mode: LockMode = LockMode.ACCESS_EXCLUSIVE) -> Lock:
        """Give a lock on the table."""
        return Lock(mode=mode, relation=self.table)

    def alter(self, action: str) -> str:
        """Write an ALTER TABLE of the table."""
        return f"ALTER TABLE {self.table} {action}"

    def _own(self, label: str) -> str:
        """Make a name that is always the same for this column, and that no other column has."""
        full = f"{label} of {self.table}.{quote(self.name)}"
        if len(full.encode()) <= MAX_BYTES:
            return full
        digest = hashlib.sha256(full.encode()).hexdigest()[:8]
        return f"{clip(full, to=MAX_BYTES - 9)} {digest}"


def first_function(shadow: Shadow) -> str:
    """Write the function that passes writes to the old name on to the new one, and back; the new name wins."""
    a, b = quote(shadow.name), quote(shadow.new_name)
    count = f"PERFORM pg_catalog.nextval({literal(shadow.counter)});"
    # With a default nobody can tell a release that leaves the column out from one that gives the default.
    of_insert = "" if shadow.conversion.default or shadow.column.identity else f" {count}"
    body = f"""
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF pg_catalog.num_nulls(new.{b}) = 1 THEN
      new.{b} := new.{a};{of_insert}
    ELSE
      new.{a} := new.{b};
    END IF;
  ELSIF NOT pg_catalog.record_image_eq(ROW(new.{b}), ROW(old.{b})) THEN
    IF NOT pg_catalog.record_image_eq(ROW(new.{a}), ROW(old.{a})) THEN
      RAISE EXCEPTION USING ERRCODE = '23000', MESSAGE = {literal(_two_values(shadow))};
    END IF;
    new.{a} := new.{b};
  ELSE
    IF NOT pg_catalog.record_image_eq(ROW(new.{a}), ROW(old.{a})) THEN
      {count}
    END IF;
    new.{b} := new.{a};
  END IF;
  RETURN new;
END"""
    return _function(shadow.functions[0], body)


def last_function(shadow: Shadow) -> str:
    """Write the last trigger's function: the shadow gets what the application's triggers have made of the column."""
    a, b = quote(shadow.name), quote(shadow.new_name)
    return _function(shadow.functions[1], f"BEGIN new.{b} := new.{a}; RETURN new; END")


def _two_values(shadow: Shadow) -> str:
    return (
        f"an UPDATE gives two values to one column: {shadow.name} and {shadow.new_name} of"
        f" {shadow.table} are the same until holdfast finish"
    )


def _function(name: str, body: str) -> str:
    """Write a function that runs as its owner: users need no right to the schema holdfast or the sequence."""
    return (
        f"CREATE OR REPLACE FUNCTION {name} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
        f" SET search_path = pg_catalog, pg_temp AS {literal(body)}"
    )
