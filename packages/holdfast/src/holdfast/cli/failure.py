"""Prints an error: its three parts, and the address of its documentation page if HOLDFAST_DOCS_URL is set."""

from contextlib import suppress

import click

from holdfast.errors import HoldfastError


def show_error(error: HoldfastError) -> None:
    """Print an error to stderr. Its page is named after its class, for as long as there is such an error."""
    click.echo(f"error: {error}", err=True)
    url = _documentation()
    if url is not None:
        click.echo(f"more: {url.rstrip('/')}/errors/{type(error).__name__}/", err=True)


def _documentation() -> str | None:
    from holdfast.engine.settings import DocumentationSettings  # loads pydantic

    with suppress(HoldfastError):  # settings that cannot be may be the error that is shown
        return DocumentationSettings().url
    return None
