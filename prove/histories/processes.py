"""The processes that migrate: one server of forks for a history, in the history's own virtual environment."""

import json
import os
import select
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from environments import History

LIMIT = 600
RUNNER = Path(__file__).parent / "runner.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one process ended."""

    killed: str | None = None
    error: str | None = None
    revision: str | None = None  # under way when it failed
    excusable: tuple[str, int] | None = None  # file and line of a refused statement
    counts: dict[str, int] = field(default_factory=dict)  # points at which a kill may hit
    writes: dict[str, int] = field(default_factory=dict)
    refused: tuple[tuple[str, int], ...] = ()  # file and line of what was exempted on the way
    reasons: dict[str, int] = field(default_factory=dict)  # why, and of how many statements


class Processes:
    """Carries out orders on a copy of the history's migrations."""

    def __init__(self, history: History, *, migrations: Path, folder: Path) -> None:
        self.folder = folder / "migrations"
        shutil.copytree(migrations, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.log = folder / "log.txt"
        home = {"HOME": str(folder), "AIRFLOW_HOME": str(folder / "airflow")}
        self._process = subprocess.Popen(
            [history.python, RUNNER, history.name, self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            env={**os.environ, **home},
            start_new_session=True,
        )
        self._answers()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def plain(self, url: str, target: str) -> Answer:
        """Plain Alembic, in a new process."""
        return self._one(plain=True, url=url, target=target)

    def holdfast(self, url: str, target: str = "heads", **more: Any) -> Answer:
        """holdfast, in a new process."""
        return self._one(plain=False, url=url, target=target, **more)

    def prepare(self, url: str) -> None:
        """What the project does in an empty database before its first revision."""
        answer = self._one(plain=True, url=url, target="base", prepare=True)
        assert answer.error is None, answer.error

    def baseline(self, url: str) -> None:
        """Tell holdfast that nothing of the history is in the database."""
        answer = self._one(plain=False, url=url, target="base", baseline=True)
        assert answer.error is None, answer.error

    def replicas(self, url: str, number: int) -> list[Answer]:
        """holdfast, in several processes at once."""
        return self._order(plain=False, url=url, target="heads", replicas=number)

    def revisions(self) -> list[str]:
        """From the first to the last, in an order that every dependency allows."""
        self._send(list=True)
        return [line["revision"] for line in self._answers()]

    def _one(self, **order: Any) -> Answer:
        [answer] = self._order(**order)
        return answer

    def _order(self, **order: Any) -> list[Answer]:
        self._send(log=str(self.log), **order)
        return [Answer(**answer) for answer in self._answers()]

    def _send(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def _answers(self) -> list[dict[str, Any]]:
        """All lines up to the one that ends an order."""
        answers: list[dict[str, Any]] = []
        stream = self._process.stdout
        assert stream is not None
        while True:
            if not select.select([stream], [], [], LIMIT)[0]:
                raise TimeoutError(f"no answer within {LIMIT} s; see {self.log}")
            line = stream.raw.readline()  # type: ignore[attr-defined]  # select and a buffer disagree
            if not line:
                raise RuntimeError(f"the runner has ended: {self.log.read_text()[-3000:]}")
            answer = json.loads(line)
            if "done" in answer:
                return answers
            answers.append(answer)
