"""The commands of docs/tour.md do what it says."""

import os
import re
import subprocess
from pathlib import Path

import httpx
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from marketplace.entities import Order, OrderStatus, User

TOUR = Path(__file__).parents[3] / "docs" / "tour.md"
LIMIT = 60


def test_the_tour(api: httpx.Client, shop: Engine) -> None:
    """From top to bottom, as one script; afterwards there is one order, which was cancelled."""
    script = "".join(re.findall(r"^```sh\n(.*?)^```", TOUR.read_text(), re.MULTILINE | re.DOTALL))
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=os.environ | {"SHOP": str(api.base_url)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "idempotent-replayed: true" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "401"
    with Session(shop) as session:
        mine = select(Order).join(User).where(User.email.like("you-%"))
        [order] = session.scalars(mine)
        assert order.status is OrderStatus.CANCELLED
