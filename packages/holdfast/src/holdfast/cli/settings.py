"""`holdfast settings`: what is in force, under the names by which it is changed. Shows no secret."""

import json
from dataclasses import asdict, dataclass
from datetime import timedelta

import click
from pydantic import BaseModel

from holdfast.cli.project import FORMAT
from holdfast.engine.create_engine import connect_arguments
from holdfast.engine.settings import Settings
from holdfast.errors.durations import in_words

SECRETS = ("password", "migration_url", "read_url")  # a URL may hold a password


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One setting that is in force, and where it comes from."""

    variable: str
    value: str | int | bool | None


@click.command()
@FORMAT
def settings(form: str) -> None:
    """Show the settings in force, without secrets."""
    found = Settings()
    lines, libpq = in_force(found), sent_to_libpq(found)
    if form == "json":
        shown = {
            "settings": [asdict(line) for line in lines],
            "libpq": [asdict(line) for line in libpq],
        }
        click.echo(json.dumps(shown))
        return
    for line in lines:
        click.echo(f"{line.variable:<38} {_text(line.value)}")
    click.echo("\nWhat libpq is told:")
    for line in libpq:
        click.echo(f"{line.variable:<38} {_text(line.value)}")


def in_force(found: Settings) -> tuple[Line, ...]:
    """Give every variable with its value, in the order in which the class has them."""
    lines: list[Line] = []
    prefix = found.model_config["env_prefix"]
    for name in type(found).model_fields:
        value = getattr(found, name)
        if isinstance(value, BaseModel):
            lines += [
                Line(variable=f"{prefix}{name}_{part}".upper(), value=_plain(getattr(value, part)))
                for part in type(value).model_fields
            ]
        elif name == "url":
            lines.append(Line(variable="DATABASE_URL", value=_plain(value)))
        elif name in SECRETS:
            shown = "(set)" if value else None
            lines.append(Line(variable=f"{prefix}{name}".upper(), value=shown))
        else:
            lines.append(Line(variable=f"{prefix}{name}".upper(), value=_plain(value)))
    return tuple(lines)


def sent_to_libpq(found: Settings) -> tuple[Line, ...]:
    """Give the parameters of a connection, except the password."""
    if found.url is None:
        return ()
    arguments = connect_arguments(found, found.url)
    return tuple(Line(variable=name, value=_plain(value)) for name, value in arguments.items())


def _plain(value: object) -> str | int | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if type(value) is tuple:  # a URL is one too, of a kind of its own
        return ",".join(map(str, value)) or None
    return in_words(value) if isinstance(value, timedelta) else str(value)


def _text(value: object) -> str:
    match value:
        case None:
            return "(not set)"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
