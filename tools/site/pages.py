"""The pages of the site that stand in docs/: copied, with links into the repository turned into names of files.

The site has no page for a source file or a test, and the repository no address on the web: such a link becomes
the path that it leads to. A link to what does not exist ends the build.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Files at the root of the repository that are pages, too.
OF_ROOT = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
LINK = re.compile(r"\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def copy_pages(place: Path) -> None:
    """All of docs/, and the pages that stand at the root."""
    for file in sorted(DOCS.rglob("*")):
        if not file.is_file():
            continue
        copied = place / file.relative_to(DOCS)
        copied.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            copied.write_text(in_the_site(file.read_text(), file=file, page=copied, place=place))
        else:
            shutil.copy(file, copied)
    for name, page in OF_ROOT.items():
        if (DOCS / page).exists():
            sys.exit(f"./dev docs: {name} and docs/{page} would be one page; rename one of them")
        if (ROOT / name).exists():
            text = in_the_site(
                (ROOT / name).read_text(), file=ROOT / name, page=place / page, place=place
            )
            (place / page).write_text(text)


def in_the_site(text: str, *, file: Path, page: Path, place: Path) -> str:
    """The text of `file`, as the page `page` below `place`; code stays as it is."""
    parts = FENCE.split(text)
    return "".join(
        part
        if FENCE.fullmatch(part)
        else LINK.sub(lambda found: link(found, file, page, place), part)
        for part in parts
    )


def link(found: re.Match[str], file: Path, page: Path, place: Path) -> str:
    """A link to another page, to an address on the web, or the name of a file of the repository."""
    text, target = found["text"], found["target"]
    address, _, anchor = target.partition("#")
    if not address or re.match(r"[a-z]+:", address):
        return found[0]
    led_to = (file.parent / address).resolve()
    if not led_to.exists():
        sys.exit(
            f"./dev docs: {file.relative_to(ROOT)} has a link to {target}, which does not exist"
        )
    in_site = of_site(led_to, place)
    if in_site is None:
        name = f"`{led_to.relative_to(ROOT)}`"
        return name if text.strip("`") in name else f"{text} ({name})"
    relative = Path(*[".."] * len(page.parent.relative_to(place).parts)) / in_site.relative_to(
        place
    )
    return f"[{text}]({relative.as_posix()}{'#' + anchor if anchor else ''})"


def of_site(file: Path, place: Path) -> Path | None:
    """The copy of a file that is a page or a picture of the site."""
    if file.is_relative_to(DOCS) and file.is_file():
        return place / file.relative_to(DOCS)
    if file == ROOT / "README.md":
        return place / "index.md"
    return place / OF_ROOT[file.name] if file.parent == ROOT and file.name in OF_ROOT else None
