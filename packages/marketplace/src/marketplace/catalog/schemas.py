"""The schemas of the catalogue: what its routes take and give.

Stock is in none of the answers that carry an ETag: the tag is made from `version`, which counts edits
and not sales, so a number that changes with each sale must not be under it.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from marketplace.catalog.stock import LOW_STOCK
from marketplace.cursors import PageRequest
from marketplace.entities import AdjustmentReason

Price = Annotated[int, Field(description="In minor units of the currency: 1999 is 19.99 EUR.")]
Currency = Annotated[str, Field(description="ISO 4217", examples=["EUR"])]

NO_NUL = r"^[^\x00]*$"  # PostgreSQL has no such character
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
Description = Annotated[str, StringConstraints(max_length=10_000, pattern=NO_NUL)]
Note = Annotated[str, StringConstraints(max_length=500, pattern=NO_NUL)]
Sku = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]
AskedPrice = Annotated[int, Field(ge=0, le=10**12, description="In minor units of the currency.")]
AskedCurrency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class ProductFilters(PageRequest):
    """Which products, and which page of them."""

    q: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=NO_NUL,
        description="How the name begins, in the case given.",
    )
    vendor: UUID | None = None
    subcategory: UUID | None = None


class LowStockFilters(PageRequest):
    """Which products run low: all their variants together have at most `at_most`."""

    at_most: int = Field(default=LOW_STOCK, ge=0, le=LOW_STOCK)
    vendor: UUID | None = Field(default=None, description="For administrators; vendors see theirs.")


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Edit(_Asked):
    """The form of an edit: a part that is left out, or null, stays as it is."""

    version: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="What was read; for clients that cannot send If-Match.",
    )


class Named(_Answer):
    """A vendor or a subcategory, as a product refers to it."""

    id: UUID
    name: str


class VendorDetail(Named):
    """A vendor, as everybody sees it."""

    created_at: datetime
    version: int


class VendorPage(_Answer):
    """A page of vendors by name; `next_cursor` is null on the last page."""

    items: list[VendorDetail]
    next_cursor: str | None


class NewVendor(_Asked):
    """The form of a new vendor."""

    name: Name


class VendorEdit(Edit):
    """The changes of a vendor."""

    name: Name | None = None


class SubcategoryDetail(Named):
    """A subcategory, the lower of the catalogue's two levels."""

    category_id: UUID
    version: int


class CategoryDetail(Named):
    """A category, the upper of the catalogue's two levels."""

    version: int


class CategoryWithSubcategories(CategoryDetail):
    """A category with all that it holds."""

    subcategories: list[SubcategoryDetail]


class Categories(_Answer):
    """All categories, by name."""

    items: list[CategoryWithSubcategories]


class NewCategory(_Asked):
    """The form of a new category."""

    name: Name


class CategoryEdit(Edit):
    """The changes of a category."""

    name: Name | None = None


class NewSubcategory(NewCategory):
    """The form of a new subcategory."""

    category_id: UUID


class SubcategoryEdit(CategoryEdit):
    """The changes of a subcategory."""

    category_id: UUID | None = None


class ProductSummary(_Answer):
    """A product, as a page of products shows it."""

    id: UUID
    name: str
    price: Price
    currency: Currency
    vendor: Named
    subcategory: Named


class ProductPage(_Answer):
    """Products by name, byte by byte; `next_cursor` is null on the last page."""

    items: list[ProductSummary]
    next_cursor: str | None


class LowProduct(ProductSummary):
    """A product that runs low, with its stock."""

    stock: int


class LowStockPage(_Answer):
    """Products by stock, the lowest first; `next_cursor` is null on the last page."""

    items: list[LowProduct]
    next_cursor: str | None


class VariantDetail(_Answer):
    """A variant: what can be bought."""

    id: UUID
    sku: str
    name: str
    price: Price
    currency: Currency
    version: int


class ProductDetail(ProductSummary):
    """A product with everything known of it."""

    description: str
    version: int
    variants: list[VariantDetail]


class NewProduct(_Asked):
    """The form of a new product. It is the vendor's own, where no vendor is named."""

    vendor_id: UUID | None = None
    subcategory_id: UUID
    name: Name
    description: Description = ""
    price: AskedPrice
    currency: AskedCurrency


class ProductEdit(Edit):
    """The changes of a product."""

    subcategory_id: UUID | None = None
    name: Name | None = None
    description: Description | None = None
    price: AskedPrice | None = None
    currency: AskedCurrency | None = None


class NewVariant(_Asked):
    """The form of a new variant. It has no stock yet: adjust it."""

    sku: Sku
    name: Name
    price: AskedPrice
    currency: AskedCurrency


class VariantEdit(Edit):
    """The changes of a variant; never its stock."""

    sku: Sku | None = None
    name: Name | None = None
    price: AskedPrice | None = None
    currency: AskedCurrency | None = None


class Availability(_Answer):
    """How much can be sold at this moment; it may be gone in the next."""

    variant_id: UUID
    available: int


def _not_zero(delta: int) -> int:
    if delta == 0:
        raise ValueError("must not be zero")
    return delta


class Adjustment(_Asked):
    """A movement of stock, and its reason."""

    delta: Annotated[
        int,
        Field(ge=-1_000_000, le=1_000_000, json_schema_extra={"not": {"const": 0}}),
        AfterValidator(_not_zero),
    ]
    reason: AdjustmentReason
    note: Note = ""
