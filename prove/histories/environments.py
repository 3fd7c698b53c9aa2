"""The virtual environment of a public history: pinned, made on first use, holdfast's source added by path."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "histories"
HOLDFAST = ROOT / "packages" / "holdfast"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A project whose revisions are public."""

    name: str
    requirements: tuple[str, ...]
    migrations: str  # the folder, in site-packages
    # Revisions at which plain Alembic fails too, when a new process starts right before them.
    excepted: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        return CACHE / self.name / "bin" / "python"


HISTORIES = (
    History(
        name="mlflow",
        requirements=("mlflow==3.17.2", "psycopg2-binary"),
        migrations="mlflow/store/db_migrations",
    ),
    History(
        name="dstack",
        requirements=("dstack[server]==0.22.5",),
        migrations="dstack/_internal/server/migrations",
        excepted=("27d3e55759fa",),
    ),
    History(
        name="apache-airflow-core",
        requirements=("apache-airflow-core==3.3.2", "psycopg2-binary", "asyncpg"),
        migrations="airflow/migrations",
    ),
)
# What `prove adopt` takes beside them: projects that are told their database by a variable, or by an alembic.ini.
ADOPTED = (
    History(
        name="argilla-server",
        requirements=("argilla-server==2.8.0", "asyncpg", "psycopg2-binary"),
        migrations="argilla_server/alembic",
    ),
    History(
        name="arize-phoenix",
        requirements=("arize-phoenix==20.26.1", "asyncpg"),
        migrations="phoenix/db/migrations",
    ),
    History(
        name="optuna",
        requirements=("optuna==5.0.0", "psycopg2-binary"),
        migrations="optuna/storages/_rdb/alembic",
    ),
)


def require_environment(history: History) -> Path:
    """The folder of the history's migrations; installed when it is not there. Exits with 3 where it cannot be."""
    place = CACHE / history.name
    wanted = "\n".join((*history.requirements, (HOLDFAST / "pyproject.toml").read_text()))
    installed = place / "installed"
    if not installed.exists() or installed.read_text() != wanted:
        print(f"installing {' '.join(history.requirements)} into {place}", file=sys.stderr)
        _run(
            history,
            str(ROOT / ".venv" / "bin" / "uv"),
            "venv",
            "--clear",
            "--quiet",
            "--python",
            sys.executable,
            str(place),
        )
        _run(
            history,
            str(ROOT / ".venv" / "bin" / "uv"),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(history.python),
            *history.requirements,
            "--editable",
            f"{HOLDFAST}[scratch]",
        )
        installed.write_text(wanted)
    [folder] = place.glob(f"lib/python*/site-packages/{history.migrations}")
    return folder


def _run(history: History, *command: str) -> None:
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode:
        print(
            f"prove histories: {history.name} could not be installed: {' '.join(command)}",
            file=sys.stderr,
        )
        raise SystemExit(3)
