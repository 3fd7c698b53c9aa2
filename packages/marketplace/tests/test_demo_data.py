"""The demo shop: complete, the same everywhere, loaded once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, selectinload

from holdfast.testing.blockers import holding, wait_until_waiting
from marketplace.demo_data import demo_id, demo_logins, load_demo_data
from marketplace.entities import (
    Category,
    Entity,
    Order,
    OrderEvent,
    OrderLine,
    OrderStatus,
    PaymentStatus,
    Product,
    Role,
    Subcategory,
    User,
    Variant,
    VariantStock,
    Vendor,
)

pytestmark = pytest.mark.usefixtures("cheap_passwords")

LIMIT = 30
END_WAITING = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
    WHERE NOT granted AND relation = 'orders'::regclass
"""


def counts(engine: Engine) -> dict[str, int]:
    """The rows of each table that has any."""
    with Session(engine) as session:
        rows = {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Entity.metadata.tables.items()
        }
    return {name: count for name, count in rows.items() if count}


WHOLE_SHOP = {
    Vendor.__tablename__: 3,
    User.__tablename__: 6,
    Category.__tablename__: 4,
    Subcategory.__tablename__: 10,
    Product.__tablename__: 60,
    Variant.__tablename__: 126,
    VariantStock.__tablename__: 126,
    Order.__tablename__: 7,
    OrderLine.__tablename__: 24,
    OrderEvent.__tablename__: 24,
}


def test_it_is_loaded_once(migrated: Engine) -> None:
    """Of two at the same time one loads; a later one finds it loaded."""

    def load(_: int) -> bool:
        with Session(migrated) as session:
            return load_demo_data(session)

    with ThreadPoolExecutor(2) as threads:
        assert Counter(threads.map(load, range(2))) == {True: 1, False: 1}
    assert load(3) is False
    assert counts(migrated) == WHOLE_SHOP


def test_a_start_that_dies_half_way_leaves_nothing(migrated: Engine) -> None:
    """All or nothing: the next start loads the whole shop."""
    url = migrated.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with (
        holding(url, "LOCK TABLE orders IN SHARE MODE") as killer,
        ThreadPoolExecutor(1) as other_thread,
        Session(migrated) as session,
    ):
        half = other_thread.submit(load_demo_data, session)
        wait_until_waiting(url)
        killer.execute(END_WAITING)
        assert isinstance(half.exception(LIMIT), OperationalError)
    assert counts(migrated) == {}
    with Session(migrated) as session:
        assert load_demo_data(session) is True
    assert counts(migrated) == WHOLE_SHOP


def test_a_shop_in_use_is_left_alone(migrated: Engine) -> None:
    """One user is enough: no demo login comes into a real shop."""
    with Session(migrated) as session:
        session.add(User(email="real@example.org", password_hash="-"))
        session.commit()
        assert load_demo_data(session) is False
    assert counts(migrated) == {"users": 1}


def test_it_is_the_same_everywhere(shop: Engine) -> None:
    """Keys too, so that documentation can name one; they are UUIDs of version 7."""
    with Session(shop) as session:
        found = session.scalars(select(Product.id).where(Product.name == "Alder Lamp")).one()
    assert found == demo_id("Alder Lamp")
    assert (str(found), found.version, found.variant) == (
        "019b8d62-7a80-7aea-bd2a-1d56fa1392e3",
        7,
        "specified in RFC 4122",
    )


def test_there_is_an_order_in_every_status(shop: Engine) -> None:
    """Of the goods and of the money; each adds up to its lines."""
    with Session(shop) as session:
        orders = session.scalars(select(Order).options(selectinload(Order.lines))).all()
    assert {order.status for order in orders} == set(OrderStatus)
    assert {order.payment_status for order in orders} == set(PaymentStatus)
    assert all(order.subtotal == sum(line.total for line in order.lines) for order in orders)


def test_the_stock_of_a_product_sums_up_its_variants(shop: Engine) -> None:
    """Some are sold out."""
    with Session(shop) as session:
        products = session.scalars(select(Product).options(selectinload(Product.variants))).all()
        stock = {row.variant_id: row.stock for row in session.scalars(select(VariantStock))}
    assert all(p.stock == sum(stock[variant.id] for variant in p.variants) for p in products)
    assert 0 in stock.values()


def test_there_is_a_login_for_each_role(shop: Engine) -> None:
    """What `up` prints."""
    with Session(shop) as session:
        logins = demo_logins(session)
    assert logins == [
        ("admin@example.com", Role.ADMIN),
        ("customer2@example.com", Role.CUSTOMER),
        ("customer@example.com", Role.CUSTOMER),
        ("vendor2@example.com", Role.VENDOR),
        ("vendor3@example.com", Role.VENDOR),
        ("vendor@example.com", Role.VENDOR),
    ]
