"""A page for each operation and for each refusal, from the table of operations, the code's own words and the examples.

The name of a page is that of its first example, or else the operation's own words: `operations/create_index`,
`operations/reindex`. Rows of the table with the same example share a page.
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import holdfast.rewrite

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "operations.md"
EXAMPLES = ROOT / "examples" / "rewrites"
OPERATIONS = Path(holdfast.rewrite.__path__[0]) / "operations"
# The table's short names.
LOCKS = {
    "SUE": "SHARE UPDATE EXCLUSIVE",
    "SRE": "SHARE ROW EXCLUSIVE",
    "AE": "ACCESS EXCLUSIVE",
    "S": "SHARE",
    "E": "EXCLUSIVE",
}
ALLOW = "-- holdfast: allow REASON until YYYY-MM-DD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An operation in the table of docs/operations.md."""

    number: int
    operation: str
    as_written: str
    online: str
    examples: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        return "refused" in self.online

    @property
    def page(self) -> str:
        """The name of its page."""
        words = self.operation.split(" and ")[0] if self.examples else self.operation
        slug = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
        return self.examples[0] if self.examples else slug


def rows() -> tuple[Row, ...]:
    """Every row of the table."""
    found = []
    # A row may lead to a section below the table; on a page of its own that is another page.
    text = TABLE.read_text().replace("](#", "](../operations.md#")
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].isdigit():
            examples = tuple(name for name in re.split(r",\s*", cells[4]) if name)
            found.append(
                Row(
                    number=int(cells[0]),
                    operation=cells[1],
                    as_written=cells[2],
                    online=cells[3],
                    examples=examples,
                )
            )
    return tuple(found)


def operation_pages() -> dict[str, str]:
    """Markdown by the name of the page, in the order of the table; and what no row names: an example of its own."""
    pages: dict[str, list[Row]] = {}
    for row in rows():
        pages.setdefault(row.page, []).append(row)
    for folder in sorted(EXAMPLES.iterdir()):
        named = {name for found in pages.values() for row in found for name in row.examples}
        if folder.is_dir() and folder.name not in named:
            pages[folder.name] = []
    return {name: "\n".join(page(name, found)) for name, found in pages.items()}


def page(name: str, found: list[Row]) -> Iterator[str]:
    title = found[0].operation if found else name.replace("_", " ")
    yield f"# {title[0].upper()}{title[1:]}\n"
    intro = docstring(name)
    if intro:
        yield f"{intro}\n"
    if found:
        yield "| operation | as written, PostgreSQL | holdfast, on a table in use |"
        yield "|--|--|--|"
        for row in found:
            yield f"| {row.operation} | {locks_in_words(row.as_written) or '-'} | {row.online or '-'} |"
        yield ""
        yield "[All operations](../operations.md), and what the words in this table mean.\n"
    if any(row.is_refused for row in found):
        yield from refusal(found)
    examples = dict.fromkeys([name for row in found for name in row.examples] or [name])
    for example in examples:
        if (EXAMPLES / example).is_dir():
            yield from of_example(EXAMPLES / example)


def locks_in_words(text: str) -> str:
    """With the names of lock modes as the manual has them."""
    return re.sub(rf"\b({'|'.join(LOCKS)})\b", lambda found: LOCKS[found[0]], text)


def refusal(found: list[Row]) -> Iterator[str]:
    yield "## When it is refused\n"
    for row in found:
        for work, instead in reasons(row.number):
            yield f"It {work.rstrip(',')}, under a lock that lasts as long as the table is large."
            yield f"**{instead}**\n"
    yield "If the table is small or nobody uses it, allow it in a comment on its line, until a day:\n"
    yield f"```sql\n{ALLOW}\n```\n"


def reasons(number: int) -> list[tuple[str, str]]:
    """What is said by the refusals of a row: what the statement does, what to write instead."""
    found = []
    for module in pkgutil.walk_packages(holdfast.rewrite.__path__, "holdfast.rewrite."):
        for value in vars(importlib.import_module(module.name)).values():
            of_rows = getattr(value, "rows", None)
            said = (getattr(value, "work", None), getattr(value, "instead", None))
            if isinstance(of_rows, tuple) and number in of_rows and all(said):
                found.append((str(said[0]), str(said[1])))
    return list(dict.fromkeys(found))


def docstring(name: str) -> str:
    """What the code says of the operation, without the addresses of its sources."""
    file = OPERATIONS / f"{name}.py"
    text = (ast.get_docstring(ast.parse(file.read_text())) if file.exists() else "") or ""
    return "\n".join(line for line in text.splitlines() if not line.startswith("http")).strip()


def of_example(folder: Path) -> Iterator[str]:
    """What somebody writes, what is executed, and the way back; the tables at the end."""
    yield f"## Example: {folder.name}\n"
    yield f'```sql title="written"\n{(folder / "change.sql").read_text().strip()}\n```\n'
    for plan in sorted(folder.glob("online*.txt")):
        since = plan.stem.partition("-")[2]
        where = f", PostgreSQL {since}" if since else ""
        yield f'```text title="executed on a table in use{where}"\n{plan.read_text().strip()}\n```\n'
    back = folder / "revert.sql"
    if back.exists():
        yield f'```sql title="the way back"\n{back.read_text().strip()}\n```\n'
    before = (folder / "before.sql").read_text().strip()
    yield '??? note "The tables before"\n'
    yield "    ```sql"
    yield from (f"    {line}" for line in before.splitlines())
    yield "    ```\n"
