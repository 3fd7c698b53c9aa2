"""A small shop to try things on: the same on every machine, keys included; loaded at most once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product as every_pair
from uuid import UUID

from argon2 import PasswordHasher
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from marketplace.entities import (
    Category,
    Machine,
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

OPENING_DAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
CURRENCY = "EUR"
SHIPPING = 490
PASSWORD = "marketplace-demo"  # noqa: S105  # the demo logins are printed at every start


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """A vendor, its staff user, and its product lines: each has one product in each subcategory."""

    name: str
    email: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A subcategory: what a product in it is called, what it costs, and its variants."""

    category: str
    name: str
    noun: str
    price: int
    variants: tuple[str, ...]


SELLERS = (
    Seller(name="Alder & Ash", email="vendor@example.com", lines=("Alder", "Ash")),
    Seller(name="Copper Kettle", email="vendor2@example.com", lines=("Copper", "Kettle")),
    Seller(name="Northbound", email="vendor3@example.com", lines=("Fjord", "Tundra")),
)

SHELVES = (
    Shelf(category="Home", name="Lamps", noun="Lamp", price=5900, variants=("desk", "floor")),
    Shelf(category="Home", name="Chairs", noun="Chair", price=14900, variants=("low", "high")),
    Shelf(category="Home", name="Blankets", noun="Blanket", price=6900, variants=("grey", "red")),
    Shelf(category="Kitchen", name="Knives", noun="Knife", price=3900, variants=("12 cm", "20 cm")),
    Shelf(category="Kitchen", name="Pans", noun="Pan", price=7400, variants=("24 cm", "28 cm")),
    Shelf(category="Kitchen", name="Mugs", noun="Mug", price=1400, variants=("one", "four")),
    Shelf(category="Outdoors", name="Tents", noun="Tent", price=24900, variants=("two", "four")),
    Shelf(category="Outdoors", name="Packs", noun="Pack", price=9900, variants=("20 l", "40 l")),
    Shelf(
        category="Paper", name="Notebooks", noun="Notebook", price=900, variants=("A6", "A5", "A4")
    ),
    Shelf(category="Paper", name="Pens", noun="Pen", price=1200, variants=("fine", "broad")),
)

SHORT = ("Mug", "Pen")  # so that the low-stock page has something to show
RUNS_LOW = 8

CUSTOMERS = {"customer@example.com": "+4930901820001", "customer2@example.com": "+4930901820002"}

# The way of each order, as its events tell it; it begins as pending in both.
ORDERS: tuple[tuple[OrderStatus | PaymentStatus, ...], ...] = (
    (),
    (PaymentStatus.FAILED,),
    (PaymentStatus.PAID, OrderStatus.CONFIRMED),
    (PaymentStatus.PAID, OrderStatus.CONFIRMED, OrderStatus.SHIPPED),
    (
        PaymentStatus.PAID,
        OrderStatus.CONFIRMED,
        OrderStatus.SHIPPED,
        OrderStatus.DELIVERED,
        PaymentStatus.PART_REFUNDED,
    ),
    (PaymentStatus.FAILED, OrderStatus.CANCELLED),
    (PaymentStatus.PAID, OrderStatus.CONFIRMED, OrderStatus.CANCELLED, PaymentStatus.REFUNDED),
)

SERIALIZE = text("SELECT pg_advisory_xact_lock(hashtext('marketplace demo data'))")


def demo_id(name: str, *, at: datetime = OPENING_DAY) -> UUID:
    """Make a UUIDv7 (RFC 9562) of that moment; its random part comes from the name."""
    moment = int(at.timestamp() * 1000)
    chosen = int.from_bytes(sha256(name.encode()).digest()[:10])
    version, variant = 0x7 << 76, 0b10 << 62
    free = chosen & ~(0xF << 76) & ~(0b11 << 62)
    return UUID(int=moment << 80 | free | version | variant)


def load_demo_data(session: Session) -> bool:
    """Fill an empty shop, all or nothing; False if somebody or something is there already."""
    with session.begin():
        session.execute(SERIALIZE)
        if session.scalar(select(User.id).limit(1)) or session.scalar(select(Vendor.id).limit(1)):
            return False
        staff = [_staff(seller) for seller in SELLERS]
        categories = _categories()
        products = _products(categories, vendors=[user.vendor for user in staff if user.vendor])
        customers = _customers()
        session.add_all([*staff, *categories, *products, *customers, _administrator()])
        session.flush()
        session.add_all(_stock(variant) for product in products for variant in product.variants)
        session.add_all(_orders(customers, products))
    return True


def demo_logins(session: Session) -> list[tuple[str, Role]]:
    """Give the demo users that the database has, with their role."""
    known = select(User.email, User.role).where(User.email.like("%@example.com"))
    return [(email, role) for email, role in session.execute(known.order_by(User.email))]


def _categories() -> list[Category]:
    categories = {
        name: Category(id=demo_id(name), name=name) for name in {s.category: None for s in SHELVES}
    }
    for shelf in SHELVES:
        subcategory = Subcategory(id=demo_id(shelf.name), name=shelf.name)
        categories[shelf.category].subcategories.append(subcategory)
    return list(categories.values())


def _products(categories: list[Category], *, vendors: list[Vendor]) -> list[Product]:
    subcategories = {
        subcategory.name: subcategory
        for category in categories
        for subcategory in category.subcategories
    }
    lines = [
        (vendor, line)
        for seller, vendor in zip(SELLERS, vendors, strict=True)
        for line in seller.lines
    ]
    return [
        _product(shelf, subcategory=subcategories[shelf.name], vendor=vendor, line=line)
        for (vendor, line), shelf in every_pair(lines, SHELVES)
    ]


def _product(shelf: Shelf, *, subcategory: Subcategory, vendor: Vendor, line: str) -> Product:
    name = f"{line} {shelf.noun}"
    price = shelf.price + 100 * len(line)
    variants = [
        Variant(
            id=demo_id(f"{name}, {kind}"),
            sku=f"{line}-{shelf.noun}-{kind.replace(' ', '')}".upper(),
            name=kind,
            price=price + price // 4 * number,
            currency=CURRENCY,
        )
        for number, kind in enumerate(shelf.variants)
    ]
    return Product(
        id=demo_id(name),
        vendor=vendor,
        subcategory=subcategory,
        name=name,
        description=f"From {vendor.name}: {shelf.noun.lower()} of the {line} line.",
        price=price,
        currency=CURRENCY,
        stock=sum(_units(name, number) for number, _ in enumerate(variants)),
        variants=variants,
    )


def _stock(variant: Variant) -> VariantStock:
    number = [each.id for each in variant.product.variants].index(variant.id)
    return VariantStock(variant_id=variant.id, stock=_units(variant.product.name, number))


def _units(product: str, number: int) -> int:
    """Give the stock of the variant with this number."""
    return (len(product) * 7 + number * 11) % (RUNS_LOW if product.endswith(SHORT) else 40)


def _user(
    email: str, *, role: Role, phone: str | None = None, vendor: Vendor | None = None
) -> User:
    return User(
        id=demo_id(email),
        email=email,
        phone_number=phone,
        password_hash=PasswordHasher().hash(PASSWORD),
        is_verified=True,
        role=role,
        vendor=vendor,
    )


def _customers() -> list[User]:
    return [_user(email, role=Role.CUSTOMER, phone=phone) for email, phone in CUSTOMERS.items()]


def _staff(seller: Seller) -> User:
    vendor = Vendor(id=demo_id(seller.name), name=seller.name)
    return _user(seller.email, role=Role.VENDOR, vendor=vendor)


def _administrator() -> User:
    return _user("admin@example.com", role=Role.ADMIN)


def _orders(customers: list[User], products: list[Product]) -> list[Order]:
    return [
        _order(
            number,
            ordered_by=customers[number % len(customers)],
            way=way,
            variants=[product.variants[0] for product in products[number :: 17 + number]],
        )
        for number, way in enumerate(ORDERS)
    ]


def _order(
    number: int,
    *,
    ordered_by: User,
    way: tuple[OrderStatus | PaymentStatus, ...],
    variants: list[Variant],
) -> Order:
    ordered_at = OPENING_DAY + timedelta(days=1 + number, hours=number)
    lines = [_line(variant, line_number=1 + place) for place, variant in enumerate(variants)]
    subtotal = sum(line.total for line in lines)
    return Order(
        id=demo_id(f"order {number}", at=ordered_at),
        ordered_by=ordered_by,
        status=[OrderStatus.PENDING, *(to for to in way if isinstance(to, OrderStatus))][-1],
        payment_status=[
            PaymentStatus.PENDING,
            *(to for to in way if isinstance(to, PaymentStatus)),
        ][-1],
        currency=CURRENCY,
        subtotal=subtotal,
        shipping=SHIPPING,
        total=subtotal + SHIPPING,
        paid=subtotal + SHIPPING if PaymentStatus.PAID in way else 0,
        refunded=_refunded(way, total=subtotal + SHIPPING),
        created_at=ordered_at,
        lines=lines,
        events=list(_events(number, way=way, ordered_at=ordered_at)),
    )


def _refunded(way: tuple[OrderStatus | PaymentStatus, ...], *, total: int) -> int:
    """Give what was refunded: all of it, or the shipping, or nothing."""
    if PaymentStatus.REFUNDED in way:
        return total
    return SHIPPING if PaymentStatus.PART_REFUNDED in way else 0


def _events(
    number: int, *, way: tuple[OrderStatus | PaymentStatus, ...], ordered_at: datetime
) -> Iterator[OrderEvent]:
    """Give the events of an order, an hour between one and the next."""
    before: dict[Machine, str] = {Machine.PAYMENT_STATUS: PaymentStatus.PENDING}
    for hour, to in enumerate((OrderStatus.PENDING, *way)):
        machine = Machine.STATUS if isinstance(to, OrderStatus) else Machine.PAYMENT_STATUS
        moment = ordered_at + timedelta(hours=hour)
        yield OrderEvent(
            id=demo_id(f"order {number}, hour {hour}", at=moment),
            machine=machine,
            from_state=before.get(machine),
            to_state=to,
            reason="requested" if hour else "checkout",
            occurred_at=moment,
        )
        before[machine] = to


def _line(variant: Variant, *, line_number: int) -> OrderLine:
    product = variant.product
    return OrderLine(
        line_number=line_number,
        variant_id=variant.id,
        vendor_id=product.vendor.id,
        vendor_name=product.vendor.name,
        product_name=product.name,
        variant_name=variant.name,
        sku=variant.sku,
        unit_price=variant.price,
        quantity=line_number,
        total=variant.price * line_number,
    )
