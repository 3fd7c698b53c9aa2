"""`marketplace serve` serves in several processes, which count together and believe nobody."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from marketplace.cli.webhook_key import webhook_key

LIMIT = 60


@pytest.mark.everywhere
def test_several_processes(shop: Engine, tmp_path: Path) -> None:
    """However many of them a client meets, and whatever address it invents: 10 failures of an account, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path / "log"  # a pipe that nobody reads would stop who writes to it
    written = log.open("w")
    process = subprocess.Popen(
        [Path(sys.executable).with_name("marketplace"), "serve", "--workers", "2"],
        env=os.environ
        | {
            "DATABASE_URL": shop.url.render_as_string(hide_password=False),
            "MARKETPLACE_PORT": str(port),
            "MARKETPLACE_PASSWORD_MEMORY_KIB": "8",
            "MARKETPLACE_PASSWORD_PASSES": "1",
        },
        cwd=tmp_path,
        stderr=written,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(address)
        codes = [fail_to_log_in(address, number) for number in range(15)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT)
        written.close()
    said = log.read_text()
    assert codes == [401] * 10 + [429] * 5, said
    assert process.returncode == 0, said


def fail_to_log_in(address: str, number: int) -> int:
    """On a connection of its own, from an address of its own making."""
    answer = httpx.post(
        f"{address}/auth/login",
        json={"email": "customer@example.com", "password": "wrong"},
        headers={"X-Forwarded-For": f"198.51.100.{number}"},
        timeout=LIMIT,
    )
    return answer.status_code


def wait_until_ready(address: str) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz", timeout=LIMIT).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"it did not come up in {LIMIT} s")


def test_the_key_for_the_payment_provider(data_dir: Path) -> None:
    """The one that the shop verifies with, each time: of the key that is set, or that is kept beside the data."""
    for environment in (
        {"MARKETPLACE_SERVER_KEY": "k" * 32},
        {"MARKETPLACE_DATA_DIR": str(data_dir)},
    ):
        said = {CliRunner().invoke(webhook_key, env=environment).output for _ in range(2)}
        assert len(said) == 1
        assert len(said.pop().strip()) >= 32
    data_dir.with_name(f"{data_dir.name}.key").unlink()
