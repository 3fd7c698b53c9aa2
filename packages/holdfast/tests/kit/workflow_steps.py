"""Runs the steps of a composite action as a job runs them: the same shell, variables and files, without the service."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")
# https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax (custom shells)
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


@dataclass(kw_only=True)
class Job:
    """A checkout, a pull request, and the files through which a step talks to the job."""

    action: Path
    checkout: Path
    files: Path  # a folder of its own
    api: str
    pull_request: int | None = 7
    python: Path = Path(
        sys.executable
    ).parent  # the folder that `setup-python` would put on the PATH
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self, inputs: Mapping[str, str], *, without: tuple[str, ...] = ()) -> "Ended":
        """The steps in their order, to the first that fails."""
        document = yaml.safe_load((self.action / "action.yml").read_text())
        values = {name: each.get("default", "") for name, each in document["inputs"].items()}
        values |= inputs
        log = ""
        for step in document["runs"]["steps"]:
            if step["name"] in without:
                continue
            ended = self._run_step(step, values)
            log += ended.stdout + ended.stderr
            if ended.returncode:
                return Ended(status=ended.returncode, log=log, step=step["name"])
        return Ended(status=0, log=log, step="")

    def _run_step(
        self, step: Mapping[str, Any], inputs: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        script, outputs = self.files / "step.sh", self.files / "outputs"
        script.write_text(self._filled_in(step["run"], inputs))
        outputs.write_text("")
        event = {} if self.pull_request is None else {"pull_request": {"number": self.pull_request}}
        (self.files / "event.json").write_text(json.dumps(event))
        given = {name: self._filled_in(value, inputs) for name, value in step["env"].items()}
        environment = os.environ | {
            "PATH": f"{self.python}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(self.files / "summary.md"),
            "GITHUB_EVENT_PATH": str(self.files / "event.json"),
            "GITHUB_API_URL": self.api,
            "GITHUB_REPOSITORY": "shop/back-end",
            **given,
        }
        folder = self._filled_in(step.get("working-directory", "."), inputs)
        ended = subprocess.run(
            [*BASH, script],
            cwd=self.checkout / folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        lines = [line.partition("=") for line in outputs.read_text().splitlines()]
        self.outputs[step.get("id", "")] = {name: value for name, _, value in lines}
        return ended

    def _filled_in(self, text: str, inputs: Mapping[str, str]) -> str:
        """With the values of its expressions; those of a default are filled in, too."""
        return EXPRESSION.sub(lambda found: self._value(found[1], inputs), text)

    def _value(self, expression: str, inputs: Mapping[str, str]) -> str:
        match expression.split("."):
            case ["inputs", name]:
                return self._filled_in(inputs[name], inputs)
            case ["github", "action_path"]:
                return str(self.action)
            case ["github", "token"]:
                return "the token of the job"
            case ["steps", step, "outputs", name]:
                return self.outputs[step].get(name, "")
        raise AssertionError(f"an expression that no job knows: {expression}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the steps ended: the status of the one that failed, and all that was printed."""

    status: int
    log: str
    step: str


@dataclass(kw_only=True)
class CommentService:
    """The comments of one pull request, kept by a server on this machine that answers as the service does."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    refuses: bool = False  # as for a pull request from a fork


@contextmanager
def comment_service() -> Iterator[CommentService]:
    """https://docs.github.com/en/rest/issues/comments"""
    service = CommentService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = int(self.path.rpartition("=")[2])
            self._answer(200, service.comments[(page - 1) * 100 : page * 100])

        def do_POST(self) -> None:
            body = self._body()
            if service.refuses:
                self._answer(403, {"message": "Resource not accessible by integration"})
                return
            service.comments.append({"id": len(service.comments) + 1, **body})
            self._answer(201, service.comments[-1])

        def do_PATCH(self) -> None:
            written = service.comments[int(self.path.rpartition("/")[2]) - 1]
            written.update(self._body())
            self._answer(200, written)

        def _body(self) -> dict[str, Any]:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return body

        def _answer(self, status: int, body: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
