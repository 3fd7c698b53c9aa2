"""Rule: an enum remade with all its values and some more gets those by ADD VALUE; no row is touched.

What helpers such as `op.sync_enum_values()` send (RENAME, CREATE TYPE, operators between the two, ALTER COLUMN TYPE,
DROP TYPE), a new type that takes the name last, and a way by text, end in the same type.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import EnumInUse
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.rewriting import alter_table
from holdfast.rewrite.statement import parse
from holdfast.rewrite.tree import add_strings, column_of, copy, find, sql, strings

OF_COLUMNS = frozenset([pb.AT_AlterColumnType, pb.AT_ColumnDefault])
OF_HELPERS = {pb.OBJECT_FUNCTION: "function", pb.OBJECT_OPERATOR: "operator"}
TEXTS = frozenset(["text", "varchar"])


def with_values_added(entries: Sequence[QueueEntry]) -> list[QueueEntry]:
    """Give the entries, with ADD VALUE and the defaults in place of those that only add values to an enum."""
    enums = {each.name: each for e in entries if e.facts is not None for each in e.facts.enums}
    planned: list[QueueEntry] = []
    place = 0
    while place < len(entries):
        made = _made_anew(entries[place:], enums)
        if made is None:
            planned.append(entries[place])
            place += 1
            continue
        planned += made.in_their_place(entries[place])
        enums[made.enum.name] = replace(made.enum, labels=made.labels)
        place += made.taken
    return planned


def _made_anew(
    entries: Sequence[QueueEntry], enums: Mapping[QualifiedName, EnumInUse]
) -> "_MadeAnew | None":
    """Find the enum that the first entries remake, if they do no more than that."""
    for enum in enums.values():
        made = _MadeAnew(enum=enum, types={enum.name.name: enum.labels})
        for entry in entries:
            if not made.takes(entry):
                break
            if made.is_complete:
                return made
    return None


@dataclass(kw_only=True)
class _MadeAnew:
    """The progress of the statements so far: values of each type by name, types of the columns."""

    enum: EnumInUse
    types: dict[str, tuple[str, ...]]
    original: str | None = (
        ""  # the name that the old type has, once it is another; None when it is gone
    )
    columns: dict[tuple[QualifiedName, str], str] = field(default_factory=dict)
    defaults: dict[tuple[QualifiedName, str], QueueEntry] = field(default_factory=dict)
    helpers: Counter[tuple[str, str]] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)  # that the types have had
    taken: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """The values that the enum has in the end."""
        return self.types[self.enum.name.name]

    @property
    def is_complete(self) -> bool:
        """Whether the old type is gone, all its columns have the new one, and nothing else is left."""
        name = self.enum.name.name
        return (
            self.original is None
            and set(self.types) == {name}
            and self.labels != self.enum.labels
            and not self.helpers.total()
            and self.columns == dict.fromkeys(self.enum.columns, name)
        )

    def takes(self, entry: QueueEntry) -> bool:
        """Take a statement that belongs to it into account, and say whether it does."""
        self.taken += 1
        node = entry.statement.node
        match node:
            case pb.CreateEnumStmt():
                return self._creates(node, entry)
            case pb.RenameStmt() if node.rename_type == pb.OBJECT_TYPE:
                return self._renames(node)
            case pb.DropStmt() if node.behavior != pb.DROP_CASCADE:
                return all(self._drops(node.remove_type, item) for item in node.objects)
            case pb.CreateFunctionStmt():
                self.helpers["function", strings(node.funcname)[-1]] += 1
                return self._is_about_it(node)
            case pb.DefineStmt() if node.kind == pb.OBJECT_OPERATOR:
                self.helpers["operator", strings(node.defnames)[-1]] += 1
                return self._is_about_it(node)
            case pb.AlterTableStmt() if node.objtype == pb.OBJECT_TABLE:
                commands = [item.alter_table_cmd for item in node.cmds]
                return all(self._changes(command, node, entry) for command in commands)
            case _:
                return False

    def in_their_place(self, first: QueueEntry) -> Iterator[QueueEntry]:
        """Give ADD VALUE for each value, then the defaults, all at the first statement's place."""
        for node in _adding(self.enum, self.labels):
            (statement,) = parse(sql(node))
            yield replace(first, statement=statement)
        for entry in self.defaults.values():
            yield replace(entry, position=first.position)

    def _creates(self, node: pb.CreateEnumStmt, entry: QueueEntry) -> bool:
        name = self._name(strings(node.type_name))
        is_here = len(node.type_name) > 1 or (
            entry.facts is not None and entry.facts.current_schema == self.enum.name.schema
        )
        labels = strings(node.vals)
        if name is None or name in self.types or not is_here:
            return False
        self.types[name] = labels
        self.names.add(name)
        return _are_all_in(self.enum.labels, labels)

    def _renames(self, node: pb.RenameStmt) -> bool:
        name = self._name(strings(node.object.list.items))
        if name not in self.types or node.newname in self.types:
            return False
        assert name is not None  # noqa: S101  # None is the name of none
        self.types[node.newname] = self.types.pop(name)
        self.names.add(node.newname)
        if self.original == name or (self.original == "" and name == self.enum.name.name):
            self.original = node.newname
        self.columns = {
            key: node.newname if kept == name else kept for key, kept in self.columns.items()
        }
        return True

    def _drops(self, kind: int, item: pb.Node) -> bool:
        if kind in OF_HELPERS:
            helper = (OF_HELPERS[kind], strings(item.object_with_args.objname)[-1])
            self.helpers[helper] -= 1
            return self.helpers[helper] >= 0
        name = self._name(strings(item.type_name.names)) if kind == pb.OBJECT_TYPE else None
        if name not in self.types:
            return False
        assert name is not None  # noqa: S101  # the same
        del self.types[name]
        if self.original == name or (self.original == "" and name == self.enum.name.name):
            self.original = None
        return True

    def _changes(
        self, command: pb.AlterTableCmd, node: pb.AlterTableStmt, entry: QueueEntry
    ) -> bool:
        table = entry.facts.relation(node.relation) if entry.facts is not None else None
        key = (table.name, command.name) if table is not None else None
        if key is None or key not in self.enum.columns or command.subtype not in OF_COLUMNS:
            return False
        if command.subtype == pb.AT_ColumnDefault:
            alone = alter_table(key[0], self._with_its_name(command))
            (statement,) = parse(sql(alone))
            self.defaults[key] = replace(entry, statement=statement)
            return True
        written = column_of(command).type_name
        name = self._name(strings(written.names))
        is_text = strings(written.names)[-1] in TEXTS and not written.typmods
        if not is_text and name not in self.types:
            return False
        self.columns[key] = strings(written.names)[-1]
        return self._keeps_values(command)

    def _keeps_values(self, command: pb.AlterTableCmd) -> bool:
        """Whether the new value is the old one: only casts, by way of text or types with all its values."""
        column = column_of(command)
        if not column.HasField("raw_default"):
            return strings(column.type_name.names)[-1] in TEXTS  # an enum has no cast to another
        value = column.raw_default
        while value.HasField("type_cast"):
            cast = value.type_cast.type_name
            is_text = strings(cast.names)[-1] in TEXTS and not cast.typmods
            if not is_text and self._name(strings(cast.names)) not in self.types:
                return False
            value = value.type_cast.arg
        return strings(value.column_ref.fields)[-1:] == (command.name,)

    def _with_its_name(self, command: pb.AlterTableCmd) -> pb.AlterTableCmd:
        """Give the default with the type's name that remains."""
        renamed = copy(command)
        for written in find(renamed, pb.TypeName):
            if self._name(strings(written.names)) in self.names:
                del written.names[:]
                add_strings(written.names, (self.enum.name.schema, self.enum.name.name))
        return renamed

    def _is_about_it(self, node: pb.CreateFunctionStmt | pb.DefineStmt) -> bool:
        named = (self._name(strings(each.names)) for each in find(node, pb.TypeName))
        return any(name in self.types for name in named)

    def _name(self, parts: tuple[str, ...]) -> str | None:
        """Give the name of a type, if it is in the schema of the enum."""
        is_elsewhere = len(parts) > 1 and parts[-2] != self.enum.name.schema
        return None if not parts or is_elsewhere else parts[-1]


def _are_all_in(labels: tuple[str, ...], more: tuple[str, ...]) -> bool:
    """Whether all of the labels are there, in their order."""
    return tuple(label for label in more if label in labels) == labels


def _adding(enum: EnumInUse, labels: tuple[str, ...]) -> Iterator[pb.AlterEnumStmt]:
    """Give one ADD VALUE for each new label, before the old one that comes next."""
    for place, label in enumerate(labels):
        if label in enum.labels:
            continue
        following = next((each for each in labels[place:] if each in enum.labels), "")
        node = pb.AlterEnumStmt(new_val=label, new_val_neighbor=following)
        add_strings(node.type_name, (enum.name.schema, enum.name.name))
        yield node
