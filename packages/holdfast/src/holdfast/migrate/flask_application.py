"""Gives the env.py of Flask-Migrate the application context that it needs, as `flask db` does.

The application is found by Flask's own rules: FLASK_APP, otherwise app.py or wsgi.py in the working directory.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from holdfast.errors.project import NoFlaskApplication

ASKED_FOR = "current_app"


@contextmanager
def application_context(config: Config) -> Iterator[None]:
    """Open the context for the block if env.py needs one and there is none. Raises NoFlaskApplication."""
    env = Path(ScriptDirectory.from_config(config).env_py_location)
    if not env.is_file() or ASKED_FOR not in env.read_text() or find_spec("flask") is None:
        yield
        return
    flask, command_line = import_module("flask"), import_module("flask.cli")
    if flask.has_app_context():
        yield
        return
    command_line.load_dotenv()
    try:
        named = os.environ.get("FLASK_APP")  # which `flask` reads as an option of its own
        application = command_line.ScriptInfo(app_import_path=named).load_app()
    except command_line.NoAppException as error:
        raise NoFlaskApplication(env=str(env), said=str(error).strip()) from error
    with application.app_context():
        _configure(config, application.extensions.get("migrate"))
        yield


def _configure(config: Config, extension: object) -> None:
    """Call the functions that the application has registered with `@migrate.configure`."""
    migrate = getattr(extension, "migrate", None)
    if migrate is not None:
        migrate.call_configure_callbacks(config)
