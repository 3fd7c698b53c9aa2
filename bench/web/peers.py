"""The ways to write the shop that are measured, each as a command that serves on a port."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from environments import PEERS, node_environment, python_environment

OURS, PEER = "marketplace", "TypeORM"
THREADS = 16  # of the one process of gunicorn


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """`PORT` in the command is where it is to listen."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether it is the marketplace itself."""
        return self.name == OURS


def ways() -> list[Way]:
    """All of them; what is missing is installed, or raises `NotInstalled`."""
    here = Path(sys.executable).parent
    django = python_environment("shop_django", requirements=PEERS / "django" / "requirements.txt")
    typeorm = node_environment("typeorm", source=PEERS / "typeorm")
    in_peers = {"PYTHONPATH": str(PEERS)}
    gunicorn = (
        str(django / "gunicorn"),
        "--workers=1",
        f"--threads={THREADS}",
        "--bind=127.0.0.1:PORT",
    )
    uvicorn = (str(here / "uvicorn"), "http_fastapi:app", "--port", "PORT")
    return [
        Way(name=OURS, command=[str(here / "marketplace"), "serve", "--port", "PORT"]),
        Way(
            name=PEER,
            command=["node", str(typeorm / "http.js"), "PORT"],
            environment={"NODE_ENV": "production"},
        ),
        Way(name="Django", command=[*gunicorn, "http_django:application"], environment=in_peers),
        Way(name="FastAPI + SQLAlchemy", command=[*uvicorn], environment=in_peers),
    ]
