"""`holdfast check`: the gate for CI."""

import json
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import click

from holdfast.cli.project import ProjectOptions, as_typed, translated_errors
from holdfast.preview.check import RULES, CheckFinding
from holdfast.preview.check import check as look

FORMATS = click.Choice(["text", "json", "sarif", "github"])
SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


@click.command()
@click.option("--since", metavar="REV", help="Only revisions after this one.")
@click.option(
    "--database",
    "with_database",
    is_flag=True,
    help="Ask the database of env.py, too: whether applied files were edited (rule `unedited`), and"
    " whether what is pending fits on its disk (`disk`).",
)
@click.option("--format", "form", type=FORMATS, default="text", help="github: annotations.")
@click.option(
    "--sarif",
    "sarif_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write SARIF to this file, too.",
)
@click.pass_obj
def check(
    options: ProjectOptions,
    since: str | None,
    with_database: bool,
    form: str,
    sarif_file: Path | None,
) -> None:
    """Check the history on a scratch server: one head, models agree, reversible, online.

    Exit status: 0 nothing found, or warnings only; 1 something was found.
    """
    with translated_errors():
        found = look(options.config(), since=since, with_database=with_database)
    if sarif_file is not None:
        sarif_file.write_text(json.dumps(as_sarif(found)) + "\n")
    match form:
        case "json":
            click.echo(json.dumps([_as_json(finding) for finding in found]))
        case "sarif":
            click.echo(json.dumps(as_sarif(found)))
        case "github":
            click.echo("".join(f"{as_annotation(finding)}\n" for finding in found), nl=False)
        case _:
            click.echo("\n".join(as_lines(found)))
    sys.exit(1 if any(not each.is_warning for each in found) else 0)


def as_lines(found: Sequence[CheckFinding]) -> Iterator[str]:
    """Give the findings as lines for a person at a terminal."""
    for finding in found:
        warning = " (warning)" if finding.is_warning else ""
        yield f"{_path(finding)}:{finding.line}: {finding.rule}{warning}"
        yield from (f"    {line}" for line in as_typed(finding.message).splitlines())
    of_warnings = ": warnings only" if all(each.is_warning for each in found) else ""
    yield f"found {len(found)}{of_warnings}" if found else "nothing found"


def _as_json(finding: CheckFinding) -> object:
    return {
        "rule": finding.rule,
        "message": finding.message,
        "file": _path(finding),
        "line": finding.line,
        "level": _level(finding),
    }


def _level(finding: CheckFinding) -> str:
    """Give the severity by the name that SARIF and GitHub use."""
    return "warning" if finding.is_warning else "error"


def as_annotation(finding: CheckFinding) -> str:
    """Write a finding as a GitHub workflow command; a property escapes two characters more than the message."""
    message = finding.message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    file = _in_repository(finding).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{_level(finding)} file={file},line={finding.line},title={finding.rule}::{message}"


def as_sarif(found: Sequence[CheckFinding]) -> object:
    """Write the findings in SARIF 2.1.0 (Static Analysis Results Interchange Format)."""
    rules = [
        {"id": rule, "shortDescription": {"text": text}, "help": {"text": text}}
        for rule, text in RULES.items()
    ]
    places = {rule: place for place, rule in enumerate(RULES)}
    driver = {"name": "holdfast", "version": version("holdfast"), "rules": rules}
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": places[finding.rule],
            "level": _level(finding),
            "message": {"text": finding.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": _artifact(finding),
                        "region": {"startLine": finding.line},
                    }
                }
            ],
        }
        for finding in found
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SARIF, "version": "2.1.0", "runs": [run]}


def _artifact(finding: CheckFinding) -> dict[str, str]:
    """Give a file's address as SARIF wants it: relative to the repository, absolute if it is not in one."""
    path = _in_repository(finding)
    if Path(path).is_absolute():
        return {"uri": Path(path).as_uri()}
    return {"uri": quote(path), "uriBaseId": "%SRCROOT%"}


def _in_repository(finding: CheckFinding) -> str:
    """Give the file's path from the root of its repository, which is what services show; else the whole path."""
    file = finding.file.resolve()
    root = next((each for each in file.parents if (each / ".git").exists()), None)
    return (file if root is None else file.relative_to(root)).as_posix()


def _path(finding: CheckFinding) -> str:
    """Give the path of a file as its repository names it."""
    here = Path.cwd()
    return str(
        finding.file.relative_to(here) if finding.file.is_relative_to(here) else finding.file
    )
