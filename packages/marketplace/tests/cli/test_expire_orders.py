"""`marketplace expire-orders` cancels what is overdue, wherever DATABASE_URL says."""

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from marketplace.cli.expire_orders import expire_orders
from marketplace.entities import Order, OrderStatus


def test_it_says_how_many(shop: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two pending orders of the demo shop are old; a second run finds none."""
    monkeypatch.setenv("DATABASE_URL", shop.url.render_as_string(hide_password=False))
    said = [CliRunner().invoke(expire_orders, catch_exceptions=False).output for _ in range(2)]
    assert said == ["expired orders: 2 rows\n", "expired orders: 0 rows\n"]
    with Session(shop) as session:
        pending = select(Order).where(Order.status == OrderStatus.PENDING)
        assert session.scalars(pending).all() == []
