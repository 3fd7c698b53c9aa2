"""`holdfast doctor`: checks whether this database, and the way to it, are fit for production. Writes nothing."""

import json

import click

from holdfast.cli.project import FORMAT, ProjectOptions, as_typed, translated_errors
from holdfast.doctor.check import Severity
from holdfast.doctor.examine import Finding, examine, worst
from holdfast.engine.settings import Settings
from holdfast.errors.project import UnknownConfiguration

EXIT_STATUS = {Severity.OK: 0, Severity.WARN: 1, Severity.REFUSE: 3}


@click.command()
@click.option("--prove-tls", is_flag=True, help="Also try an unknown CA, which must be refused.")
@FORMAT
@click.pass_context
def doctor(ctx: click.Context, prove_tls: bool, form: str) -> None:
    """Ask the server whether it is fit for production.

    Exit status: 0 fine, 1 something to look at, 2 invalid settings, 3 production would refuse.
    """
    settings = Settings()
    options: ProjectOptions = ctx.obj
    try:
        config = options.config()
    except UnknownConfiguration:
        if options.file is not None:
            raise
        config = None
    with translated_errors():
        found = examine(settings, config, prove_tls=prove_tls)
    click.echo(_as_json(found) if form == "json" else as_typed(_as_text(found)))
    ctx.exit(EXIT_STATUS[worst(found)])


def _as_text(found: tuple[Finding, ...]) -> str:
    return "\n".join((*map(_line, found), _summary(found)))


def _line(finding: Finding) -> str:
    check, verdict = finding.check, finding.verdict
    title = f"{check.title} ({finding.of})" if finding.of else check.title
    line = f"{verdict.severity:<6} {check.number:>2} {title}: {verdict.says}"
    return f"{line}\n          {check.name}: {verdict.remedy}" if verdict.remedy else line


def _summary(found: tuple[Finding, ...]) -> str:
    numbers = {each: sum(f.verdict.severity is each for f in found) for each in Severity}
    return ", ".join(f"{numbers[each]} {each}" for each in reversed(Severity))


def _as_json(found: tuple[Finding, ...]) -> str:
    checks = [
        {
            "number": each.check.number,
            "name": each.check.name,
            "title": each.check.title,
            "severity": each.verdict.severity,
            "says": as_typed(each.verdict.says),
            "remedy": as_typed(each.verdict.remedy),
            **({"of": each.of} if each.of else {}),
        }
        for each in found
    ]
    return json.dumps({"severity": worst(found), "checks": checks})
