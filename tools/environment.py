"""Builds the private virtual environment that `./dev` runs in: `environment.py ROOT STAMP`.

Runs on the bare interpreter, before anything is installed. Of two at once the second waits.
"""

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path

root, stamp = Path(sys.argv[1]), sys.argv[2]
environment = root / ".venv"
installed = environment / "installed"


def pip(*arguments: str) -> None:
    subprocess.run(
        [
            environment / "bin" / "python",
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            *arguments,
        ],
        cwd=root,
        check=True,
    )


def build() -> None:
    print(f"Installing what is missing into {environment} ...", file=sys.stderr, flush=True)
    installed.unlink(missing_ok=True)
    venv.create(environment, clear=not (environment / "bin" / "python").exists(), with_pip=True)
    pip("install", "--require-hashes", "--requirement", "requirements.lock")
    pip("install", "--no-deps", "--no-build-isolation", "--editable", "packages/holdfast")
    pip("install", "--no-deps", "--no-build-isolation", "--editable", "packages/marketplace")
    installed.write_text(stamp + "\n")


environment.mkdir(exist_ok=True)
fcntl.flock(os.open(environment, os.O_RDONLY), fcntl.LOCK_EX)  # held until this process ends
if not installed.exists() or installed.read_text().strip() != stamp:
    try:
        build()
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"The environment could not be installed: {' '.join(map(str, error.cmd[1:]))} ended "
            f"with status {error.returncode} (its own message is above).\n"
            "Mend that (often: no package index within reach), then run ./dev again; "
            "rm -r .venv starts afresh."
        )
