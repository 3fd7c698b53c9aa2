"""Names as PostgreSQL writes and chooses them: qualified, quoted, and cut to 63 bytes.

The choosing follows makeObjectName() and ChooseRelationName() in PostgreSQL's
src/backend/commands/indexcmds.c: a constraint must be called in an online plan what it would be
called without one.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count, islice

MAX_BYTES = 63
CANDIDATES = 30
SIMPLE = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class QualifiedName:
    """A relation by schema and name; as text it is quoted where SQL needs it."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"


def quote(identifier: str) -> str:
    """Write the identifier as SQL, in double quotes only where it needs them (quote_ident())."""
    if SIMPLE.fullmatch(identifier) and not is_reserved(identifier):
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


def is_reserved(word: str) -> bool:
    """Whether the word is a keyword that cannot stand as a name everywhere."""
    import postgast  # loaded with the first name that is written: an empty database needs none
    from postgast import pg_query_pb2 as pb

    keyword = postgast.scan(word).tokens[0].keyword_kind
    return keyword not in (pb.NO_KEYWORD, pb.UNRESERVED_KEYWORD)


def clip(text: str, *, to: int) -> str:
    """Give the longest beginning of the text that fits into so many bytes of UTF-8."""
    return text.encode()[:to].decode(errors="ignore")


def object_name(first: str, *, second: str = "", label: str) -> str:
    """Give what makeObjectName() makes: FIRST_SECOND_LABEL, the longer name cut until it fits."""
    room = MAX_BYTES - len(label.encode()) - 1 - (1 if second else 0)
    first_bytes, second_bytes = len(first.encode()), len(second.encode())
    while first_bytes + second_bytes > room:
        if first_bytes > second_bytes:
            first_bytes -= 1
        else:
            second_bytes -= 1
    parts = [clip(first, to=first_bytes)]
    if second:
        parts.append(clip(second, to=second_bytes))
    return "_".join([*parts, label])


def free_name(first: str, *, second: str = "", label: str, taken: Collection[str]) -> str:
    """Give what ChooseRelationName() chooses: the first of NAME, NAME1, NAME2, .. that is not taken."""
    names = _numbered(first, second=second, label=label)
    return next(name for name in names if name not in taken)


def candidates(first: str, *, second: str = "", label: str) -> Iterator[str]:
    """Give the names from which free_name() chooses, more than anybody has."""
    return islice(_numbered(first, second=second, label=label), CANDIDATES)


def _numbered(first: str, *, second: str, label: str) -> Iterator[str]:
    yield object_name(first, second=second, label=label)
    for number in count(1):
        yield object_name(first, second=second, label=f"{label}{number}")
