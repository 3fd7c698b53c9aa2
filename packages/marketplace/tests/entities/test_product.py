"""An edit of what somebody else has edited meanwhile is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from holdfast.testing.blockers import wait_until_waiting
from marketplace.entities import Product, Variant

LIMIT = 30


def first(session: Session, entity: type[Product] | type[Variant]) -> Product | Variant:
    return session.scalars(select(entity).order_by(entity.id)).first()  # type: ignore[return-value]  # one of both


@pytest.mark.parametrize("entity", [Product, Variant])
def test_of_two_edits_on_two_connections_the_second_loses(
    shop: Engine, entity: type[Product] | type[Variant]
) -> None:
    """Both read the same version; the second waits for the first's lock, then raises."""
    with Session(shop) as one, Session(shop) as two, ThreadPoolExecutor(1) as other_thread:
        first(one, entity).name = "the name of one"
        first(two, entity).name = "the name of two"
        one.flush()
        second = other_thread.submit(two.flush)
        wait_until_waiting(
            shop.url.set(drivername="postgresql").render_as_string(hide_password=False)
        )
        one.commit()
        assert isinstance(second.exception(LIMIT), StaleDataError)
    with Session(shop) as later:
        assert (first(later, entity).name, first(later, entity).version) == ("the name of one", 2)


def test_a_sale_is_no_edit(shop: Engine) -> None:
    """Stock that moves by a statement of its own does not make an edit stale."""
    with Session(shop) as editor, Session(shop) as till:
        edited = first(editor, Product)
        till.execute(update(Product).where(Product.id == edited.id).values(stock=Product.stock + 1))
        till.commit()
        edited.name = "a better name"
        editor.commit()
        assert edited.version == 2
