"""Asks a person before data is lost."""

import sys

import click

from holdfast.errors.database import NotConfirmed


def confirm(*, verb: str, loses: tuple[str, ...], yes: bool) -> None:
    """Return when a person, or --yes, agrees; raise NotConfirmed otherwise."""
    if yes or not loses:
        return
    if sys.stdin.isatty():
        for each in loses:
            click.echo(f"  {each}", err=True)
        if click.confirm(f"holdfast {verb}: is all of this to happen?", err=True):
            return
    raise NotConfirmed(verb=verb, loses=loses)
