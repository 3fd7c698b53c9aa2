"""The commands of docs/tour.md do what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from marketplace.entities import Order, OrderStatus, PaymentStatus, User

TOUR = Path(__file__).parents[3] / "docs" / "tour.md"
LIMIT = 60
WEBHOOK_KEY = "a key of the tour, which a provider signs with"


@pytest.fixture
def settings() -> dict[str, object]:
    return {"payment_webhook_key": SecretStr(WEBHOOK_KEY)}


def test_the_tour(api: httpx.Client, shop: Engine) -> None:
    """From top to bottom, as one script; afterwards one order was cancelled, and one paid and partly refunded."""
    script = "".join(re.findall(r"^```sh\n(.*?)^```", TOUR.read_text(), re.MULTILINE | re.DOTALL))
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=os.environ
        | {
            # The interpreter itself: what stands for it on a developer's PATH may take longer than it.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SHOP": str(api.base_url),
            "WEBHOOK_KEY": WEBHOOK_KEY,
        },
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "idempotent-replayed: true" in ended.stdout
    assert "second_factor_needed" in ended.stdout
    assert "Lantern Lane 7" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "401"
    with Session(shop) as session:
        mine = select(Order).join(User).where(User.email.like("you-%"))
        first, second = session.scalars(mine.order_by(Order.id))
        assert first.status is OrderStatus.CANCELLED
        assert second.payment_status is PaymentStatus.PART_REFUNDED
