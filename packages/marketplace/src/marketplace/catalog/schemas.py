"""What the catalogue takes and gives over HTTP.

Stock is in none of it: these answers will carry an ETag made from `version`, which counts edits and
not sales, so a number that changes with each sale must not be under that tag.
"""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Price = Annotated[int, Field(description="In minor units of the currency: 1999 is 19.99 EUR.")]
Currency = Annotated[str, Field(description="ISO 4217", examples=["EUR"])]


class ProductFilters(BaseModel):
    """Which products, and which page of them."""

    model_config = ConfigDict(extra="forbid")

    q: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00]+$",  # PostgreSQL has no such character
        description="How the name begins, in the case given.",
    )
    vendor: UUID | None = None
    subcategory: UUID | None = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(
        default=None, max_length=2000, description="`next_cursor` of the page before."
    )


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Named(_Answer):
    """A vendor or a subcategory, as a product refers to it."""

    id: UUID
    name: str


class ProductSummary(_Answer):
    """A product on a page."""

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


class VariantDetail(_Answer):
    """What can be bought."""

    id: UUID
    sku: str
    name: str
    price: Price
    currency: Currency
    version: int


class ProductDetail(ProductSummary):
    """A product with all that is known of it."""

    description: str
    version: int
    variants: list[VariantDetail]
