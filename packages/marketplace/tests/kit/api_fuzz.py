"""schemathesis against an API that runs: requests that fit its document, and requests that do not.

Used by the tests with few requests for each route, and by `./dev prove api` with many.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

LIMIT = 1800
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# A request there would end the session that all the others need: fuzzed without one.
ENDS_THE_SESSION = "^/auth/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """Whether everything was as documented; `report` says what was not."""

    is_clean: bool
    report: str


def fuzz(
    address: str, *, access_token: str | None, phases: str, examples: int, paths: str = ".*"
) -> Fuzzed:
    """One principal; None is nobody. `paths` is a regular expression."""
    command = [Path(sys.executable).parent / "st", "run", f"{address}/openapi.json"]
    options = {
        "--checks": ",".join(CHECKS),
        "--phases": phases,
        "--max-examples": str(examples),
        "--warnings": "off",
        "--include-path-regex": paths,
    }
    if access_token is not None:
        options["--header"] = f"Authorization: Bearer {access_token}"
        options["--exclude-path-regex"] = ENDS_THE_SESSION
    flags = ("--no-color", "--continue-on-failure", "--generation-deterministic", "--no-shrink")
    arguments = [part for option in options.items() for part in option]
    with tempfile.TemporaryDirectory() as folder:  # where it keeps what it found
        ended = subprocess.run(
            [*command, *arguments, *flags],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    return Fuzzed(is_clean=ended.returncode == 0, report=ended.stdout + ended.stderr)
