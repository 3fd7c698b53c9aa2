"""`marketplace openapi`: writes the document that describes the API."""

import json
from pathlib import Path

import click
from pydantic import SecretStr

from holdfast import Profile
from marketplace.app import create_app
from marketplace.settings import Settings

# Never connected to.
NOWHERE = SecretStr("postgresql://nowhere/marketplace")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
def openapi(file: Path | None) -> None:
    """Write the OpenAPI document of this version to FILE, or to stdout."""
    if file is None:
        click.echo(document(), nl=False)
    else:
        file.write_text(document())


def document() -> str:
    """Write the document as it is committed: sorted, so that a change of the API is a small change of the file."""
    app = create_app(Settings(profile=Profile.DEVELOPMENT, database_url=NOWHERE))
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
