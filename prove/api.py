"""schemathesis against a running marketplace, with nobody and with each role; takes minutes.

`./dev prove api [--examples N] [--as WHO]`: N for each route and phase; WHO is nobody or a demo login, and
can be named several times. Status 1 when an answer was not as documented.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/marketplace/tests/kit"))
from api_fuzz import fuzz
from shoppers import ADMIN, CUSTOMER, VENDOR, log_in

NOBODY = "nobody"
EVERYBODY = (NOBODY, CUSTOMER, VENDOR, ADMIN)
PHASES = "coverage,fuzzing,stateful"
LIMIT = 120
SETTINGS = {
    "HOLDFAST_PROFILE": "development",
    "MARKETPLACE_SESSION_ACCESS": "12h",  # for one log in for each principal
    "MARKETPLACE_RATE_LOGIN_PER_IP": "1000000/minute",
    "MARKETPLACE_RATE_LOGIN_PER_ACCOUNT": "1000000/minute",
    "MARKETPLACE_RATE_REFRESH_PER_IP": "1000000/minute",
    "MARKETPLACE_RATE_REFRESH_PER_ACCOUNT": "1000000/minute",
    "MARKETPLACE_RATE_LOGIN_FAILURES_PER_ACCOUNT": "1000000/minute",
    "MARKETPLACE_RATE_CHECKOUT_PER_ACCOUNT": "1000000/minute",
}


@contextmanager
def marketplace() -> Iterator[str]:
    """The address of one with demo data, on an embedded server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server may run as another user
        command = [Path(sys.executable).parent / "marketplace", "up", "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--data-dir", f"{folder}/postgres"],
            env=environment | SETTINGS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until_up(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(LIMIT)


def wait_until_up(address: str, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit and process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    sys.exit(f"the marketplace ended, or did not come up in {LIMIT} s")


@click.command()
@click.option("--examples", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--as", "principals", type=click.Choice(EVERYBODY), multiple=True, default=EVERYBODY)
def main(examples: int, principals: tuple[str, ...]) -> None:
    failed = False
    for who in principals:
        began = time.monotonic()
        with marketplace() as address:
            with httpx.Client(base_url=address, timeout=LIMIT) as api:
                token = None if who == NOBODY else log_in(api, who).access_token
            found = fuzz(address, access_token=token, phases=PHASES, examples=examples)
        seconds = time.monotonic() - began
        print(f"{'ok' if found.is_clean else 'FAILED':<8}{who}, {seconds:.0f} s", flush=True)
        if not found.is_clean:
            failed = True
            print(found.report)
    sys.exit(failed)


if __name__ == "__main__":
    main()
