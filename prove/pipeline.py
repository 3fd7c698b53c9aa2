"""What stands around holdfast in a pipeline, tried without a service: action, SARIF, pre-commit, image, Kubernetes.

Each file is read by its own validator from a package index (that of SARIF needs Debian's npm). The action runs with its
installation, in an empty environment. The image's commands are executed without a builder, and what they make then
migrates and serves as a container would: as another user, without HOME, the whole file system read-only (needs root,
util-linux and Debian's Python with python3-venv). One line each; status 1 when one does not hold. Names of proofs as
arguments narrow it down.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from alembic_project import Project
from workflow_steps import Job, comment_service

from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.server import temporary_server

ROOT = Path(__file__).parents[1]
UV = ROOT / ".venv" / "bin" / "uv"
MULTITOOL = "@microsoft/sarif-multitool@5.7.0"
NO_ADDRESS = "SARIF2005"  # wants the address of the tool on the web: holdfast has none
PYTHON = "/usr/bin/python3"  # Debian's, with python3-venv: one that every user may read
NOBODY = 65534
LIMIT = 900
BAD = "op.execute('ALTER TABLE t ADD COLUMN b integer GENERATED ALWAYS AS (a + 1) STORED')"


def said(*words: str | Path, cwd: Path = ROOT, status: int = 0, **environment: str) -> str:
    """Both outputs of a command that ends with this status."""
    ended = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == status, (
        f"{shlex.join(map(str, words))}: status {ended.returncode}\n{ended.stdout}"
    )
    return ended.stdout


def tool(name: str, *words: str | Path, package: str = "", cwd: Path = ROOT) -> str:
    """A program of a package, in an environment of its own."""
    return said(
        UV, "run", "--no-project", "--quiet", "--with", package or name, name, *words, cwd=cwd
    )


@contextmanager
def shop(postgres: Postgres) -> Iterator[Project]:
    """A project in a repository, with one bad migration."""
    with tempfile.TemporaryDirectory() as folder, postgres.database() as url:
        project = Project(folder=Path(folder) / "shop", database=url)
        project.revision("op.create_table('t', sa.Column('a', sa.Integer))", "op.drop_table('t')")
        command.upgrade(project.config, "head")
        project.revision(BAD, "op.drop_column('t', 'b')")
        said("git", "init", "--quiet", ".", cwd=project.folder.parent)
        yield project


def sarif(postgres: Postgres) -> None:
    """The validator of the format's own authors finds nothing in what `check --sarif` writes."""
    npm = shutil.which("npx")
    assert npm is not None, "npx is needed: Debian's package npm"
    with shop(postgres) as project:
        said(
            sys.executable, "-m", "holdfast", "check", "--sarif", "found.sarif",
            cwd=project.folder, status=1,
        )  # fmt: skip
        words = ("--yes", MULTITOOL, "validate", "found.sarif", "--output", "report.sarif")
        said(npm, *words, cwd=project.folder)
        [run] = json.loads((project.folder / "report.sarif").read_text(encoding="utf-8-sig"))[
            "runs"
        ]
        results = [each for each in run.get("results", []) if each["ruleId"] != NO_ADDRESS]
        found = [f"{each['ruleId']}: {each['message']}" for each in results]
        assert found == [], "\n".join(found)


def schemas(_: Postgres) -> None:
    """The action, the hook, compose and Kubernetes files are what their readers expect."""
    tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")
    tool("pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")
    for file in sorted((ROOT / "deploy/kubernetes").glob("*.yaml")):
        tool("kubernetes-validate", "--strict", "--version", "1.32", file)


def action(postgres: Postgres) -> None:
    """All steps, the installation too, where nothing is installed."""
    with shop(postgres) as project, comment_service() as service:
        place = project.folder.parent
        said(UV, "venv", "--quiet", "--seed", "--python", sys.executable, place / "environment")
        (place / "job").mkdir()
        python = place / "environment" / "bin"
        job = Job(action=ROOT, checkout=place, files=place / "job", api=service.url, python=python)
        ended = job.run(
            {"plan": "true", "working-directory": "shop", "install": "pip install greenlet"}
        )
        assert (ended.status, ended.step) == (1, "Result"), ended.log
        assert "::error file=shop/versions/r2.py,line=10,title=online::" in ended.log
        assert "Refused, because public.t is in use" in service.comments[0]["body"]


def pre_commit(postgres: Postgres) -> None:
    """The hook runs when a revision is committed, and stops the commit."""
    with shop(postgres) as project:
        place = project.folder.parent
        (place / ".pre-commit-config.yaml").write_text(
            f"repos: [{{repo: '{ROOT}', rev: HEAD, hooks: [{{id: holdfast-check}}]}}]\n"
        )
        (place / "alembic.ini").write_text((project.folder / "alembic.ini").read_text())
        said("git", "add", ".", cwd=place)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        words = ("run", "--no-project", "--quiet", "--with", "pre-commit", "pre-commit", "run")
        output = said(UV, *words, cwd=place, status=1, PATH=path)
        assert "Refused, because public.t is in use" in output, output


def image(_: Postgres) -> None:
    """What the Dockerfile's commands make migrates and serves, as a container would run it."""
    assert os.geteuid() == 0, "the file system is made read-only for one process: that needs root"
    with tempfile.TemporaryDirectory() as folder, temporary_server(major=18) as server:
        place = Path(folder)
        place.chmod(0o755)
        build_image(place)
        with postgres_at(server.url()).database() as url:
            settings = {
                "DATABASE_URL": url,
                "HOLDFAST_PROFILE": "development",
                "HOLDFAST_TLS": "off",
            }
            output = contained(place, "holdfast", "run", **settings)
            assert "applied" in output, output
            serve(place, settings | {"HOLDFAST_MIGRATE_ON_START": "wait"})


def build_image(place: Path) -> None:
    """Executes COPY and RUN of the build stage, with folders of our own for those of the image."""
    source = place / "source"
    shutil.copytree(
        ROOT / "packages",
        source / "packages",
        ignore=shutil.ignore_patterns("tests", "__pycache__"),
    )
    shutil.copy(ROOT / "requirements.lock", source)
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    [run] = re.findall(r"^RUN (.*)$", text, re.MULTILINE)
    said(
        "sh",
        "-euc",
        run.replace("python -m", f"{PYTHON} -m", 1).replace("/app", str(place / "app")),
        cwd=source,
    )
    (place / "srv").mkdir()
    shutil.copy(ROOT / "pyproject.toml", place / "srv")


def as_container(place: Path, *words: str, **settings: str) -> list[str]:
    """A command that sees every mounted file system read-only, has no HOME, and is nobody."""
    values = [f"{name}={value}" for name, value in settings.items()]
    inner = shlex.join(
        [
            *(
                "setpriv",
                f"--reuid={NOBODY}",
                f"--regid={NOBODY}",
                "--clear-groups",
                "--no-new-privs",
            ),
            *("env", "--ignore-environment", f"--chdir={place / 'srv'}"),
            *(
                f"PATH={place / 'app/bin'}:/usr/bin:/bin",
                "PYTHONDONTWRITEBYTECODE=1",
                *values,
                *words,
            ),
        ]
    )
    each = 'mount -o remount,bind,ro "$at" 2>/dev/null || true'
    mounts = f"awk '{{print $2}}' /proc/mounts | while read -r at; do {each}; done"
    proof = f"! touch {place}/written 2>/dev/null && ! touch /tmp/written 2>/dev/null"
    return ["unshare", "--mount", "sh", "-euc", f"{mounts}; {proof}; exec {inner}"]


def contained(place: Path, *words: str, **settings: str) -> str:
    """Both outputs."""
    return said(*as_container(place, *words, **settings))


def serve(place: Path, settings: dict[str, str]) -> None:
    """The command of the image answers /readyz, and ends when it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    [listed] = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
    words = json.loads(listed)
    settings |= {"MARKETPLACE_PORT": port, "MARKETPLACE_HOST": "127.0.0.1"}
    process = subprocess.Popen(
        as_container(place, *words, **settings), stderr=subprocess.PIPE, text=True
    )
    try:
        limit = time.monotonic() + 60
        while not is_ready(port):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < limit, "not ready within 60 s"
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(60)


def is_ready(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


PROOFS: tuple[Callable[[Postgres], None], ...] = (schemas, sarif, pre_commit, action, image)


def main() -> None:
    names = sys.argv[1:] or [proof.__name__ for proof in PROOFS]
    holds = True
    with temporary_server(major=18) as server:
        postgres = postgres_at(server.url())
        os.environ["HOLDFAST_SCRATCH_URL"] = postgres.url("postgres")
        for proof in PROOFS:
            if proof.__name__ not in names:
                continue
            try:
                proof(postgres)
            except Exception:  # noqa: BLE001  # one after the other
                holds = False
                print(f"FAILED  {proof.__name__}", flush=True)
                traceback.print_exc()
            else:
                print(f"holds   {proof.__name__}: {proof.__doc__}", flush=True)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
