"""`./dev docs`: the site, from docs/ and from the code, in .cache/docs/site; `./dev docs serve [PORT]` shows it, too.

Nothing that is generated is committed. The site is built by mkdocs in an environment of its own, strictly: a dead link
ends the build. Its pages ask no other host for anything; the build looks.
"""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from operations import operation_pages, rows
from pages import copy_pages
from reference import error_pages, errors_index, public_names, settings, verbs

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "docs"
PAGES = CACHE / "pages"
SITE = CACHE / "site"
# What stands in docs/, by section; what is named in none is in the one that says None.
SECTIONS: tuple[tuple[str, tuple[str, ...] | None], ...] = (
    ("Tutorials", ("start.md", "sql.md", "tutorials/*.md")),
    ("How to", None),
    (
        "Reference",
        (
            "operations.md",
            "verbs.md",
            "settings.md",
            "errors.md",
            "application.md",
            "exit-statuses.md",
            "api.md",
            "doctor.md",
        ),
    ),
    ("Operations", ("operations/*.md",)),
    ("Explanation", ("how-it-works.md", "architecture.md", "benchmarks.md", "decisions/*.md")),
    ("Marketplace", ("tour.md", "sessions.md", "security.md", "indexes.md")),
    (
        "Project",
        ("changelog.md", "contributing.md", "security-policy.md", "releasing.md", "SKILL.md"),
    ),
)
# A page loads these as soon as it is shown; a link that somebody follows is another thing.
LOADED = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?((?:https?:)?//[^\"'\s>]+)")
STYLES = re.compile(r"<link[^>]*\shref=[\"']?((?:https?:)?//[^\"'\s>]+)")
IN_STYLE = re.compile(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')\s]+)")


def main() -> None:
    write_pages()
    configuration = CACHE / "mkdocs.yml"
    configuration.write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {PAGES}\nnot_in_nav: /errors/*.md\nsite_dir: {SITE}\nnav:\n{nav()}"
    )
    uv = ROOT / ".venv" / "bin" / "uv"
    requirements = ROOT / "tools" / "site" / "requirements.txt"
    mkdocs = [uv, "run", "--no-project", "--quiet", "--with-requirements", requirements, "mkdocs"]
    # Not --quiet: what is not logged is not counted by --strict.
    ended = subprocess.run(
        [*map(str, mkdocs), "build", "--strict", "--config-file", str(configuration)],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        said = [line for line in ended.stdout.splitlines() if not line.startswith("INFO")]
        sys.exit("\n".join([*said, "./dev docs: mkdocs ended with what is above"]))
    asked = sorted(set(other_hosts()))
    if asked:
        sys.exit("./dev docs: pages would ask other hosts:\n" + "\n".join(asked))
    pages = len(list(SITE.rglob("index.html")))
    print(f"{pages} pages in {SITE.relative_to(ROOT)}")
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]) if len(sys.argv) > 2 else 8001)


def write_pages() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir(parents=True)
    copy_pages(PAGES)
    for folder, pages in (("operations", operation_pages()), ("errors", error_pages())):
        (PAGES / folder).mkdir()
        for name, text in pages.items():
            (PAGES / folder / f"{name}.md").write_text(text)
    link_operations()
    generated = {"verbs": verbs, "settings": settings, "errors": errors_index, "api": public_names}
    for name, write in generated.items():
        (PAGES / f"{name}.md").write_text(write())


def link_operations() -> None:
    """In the copy of the table, from each operation to its page."""
    file = PAGES / "operations.md"
    text = file.read_text()
    for row in rows():
        begin = f"| {row.number} | "
        text = text.replace(
            f"{begin}{row.operation} |", f"{begin}[{row.operation}](operations/{row.page}.md) |"
        )
    file.write_text(text)


def nav() -> str:
    """The pages that are there, by section; their titles are their own."""
    patterns = [pattern for _, found in SECTIONS for pattern in found or ()]
    named = {file for pattern in patterns for file in PAGES.glob(pattern)}
    reached = {PAGES / "index.md", *PAGES.glob("errors/*.md")}  # those from the table of errors
    left = sorted(set(PAGES.rglob("*.md")) - named - reached)
    lines = ["  - index.md"]
    for title, found in SECTIONS:
        files = left if found is None else [file for pattern in found for file in in_order(pattern)]
        lines += [f"  - {title}:", *(f"      - {file.relative_to(PAGES)}" for file in files)]
    return "\n".join(lines) + "\n"


def in_order(pattern: str) -> list[Path]:
    """Operations as the table has them, the others by name."""
    found = sorted(PAGES.glob(pattern))
    order = {row.page: place for place, row in reversed(list(enumerate(rows())))}
    return sorted(found, key=lambda file: (order.get(file.stem, len(order)), file.name))


def other_hosts() -> list[str]:
    """What a page or a style would load from elsewhere: file and address."""
    found = []
    for file in SITE.rglob("*"):
        patterns = {".html": (LOADED, STYLES), ".css": (IN_STYLE,)}.get(file.suffix, ())
        for pattern in patterns:
            found += [
                f"{file.relative_to(SITE)}: {each}" for each in pattern.findall(file.read_text())
            ]
    return found


def serve(port: int) -> None:
    """On this machine only, until Ctrl-C."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=SITE)
    print(f"http://127.0.0.1:{port}/ (Ctrl-C stops it)")
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
