"""Problems with a request to the catalogue."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from marketplace.accounts.problems import InvalidAccessToken, RoleNotAllowed
from marketplace.problems import InvalidRequest, Problem


class _NotFound(Problem):
    status = HTTPStatus.NOT_FOUND


@dataclass(kw_only=True, eq=False)
class ProductNotFound(_NotFound):
    """No product has this id, or it is archived."""

    product_id: UUID
    code = "product_not_found"
    detail = "There is no product {product_id}."


@dataclass(kw_only=True, eq=False)
class VariantNotFound(_NotFound):
    """No variant has this id, or it is archived."""

    variant_id: UUID
    code = "variant_not_found"
    detail = "There is no variant {variant_id}."


@dataclass(kw_only=True, eq=False)
class VendorNotFound(_NotFound):
    """No vendor has this id, or it is archived."""

    vendor_id: UUID
    code = "vendor_not_found"
    detail = "There is no vendor {vendor_id}."


@dataclass(kw_only=True, eq=False)
class CategoryNotFound(_NotFound):
    """There is no category with this id."""

    category_id: UUID
    code = "category_not_found"
    detail = "There is no category {category_id}."


@dataclass(kw_only=True, eq=False)
class SubcategoryNotFound(_NotFound):
    """There is no subcategory with this id."""

    subcategory_id: UUID
    code = "subcategory_not_found"
    detail = "There is no subcategory {subcategory_id}."


@dataclass(kw_only=True, eq=False)
class NotYourVendor(Problem):
    """It belongs to another vendor than this user."""

    status = HTTPStatus.FORBIDDEN
    code = "not_your_vendor"
    detail = "This belongs to another vendor."


@dataclass(kw_only=True, eq=False)
class VersionRequired(Problem):
    """An edit has to say which version it is of: If-Match, or `version` in the body."""

    status = HTTPStatus.PRECONDITION_REQUIRED
    code = "version_required"
    detail = "Send If-Match with the ETag that you have read. Only administrators may send *."


@dataclass(kw_only=True, eq=False)
class VersionMismatch(Problem):
    """Somebody else has edited it meanwhile: read it again."""

    current_version: int
    status = HTTPStatus.PRECONDITION_FAILED
    code = "version_mismatch"
    detail = "It is at version {current_version} by now."

    @property
    def headers(self) -> dict[str, str]:
        """The ETag of the current version."""
        return {"ETag": f'"{self.current_version}"'}

    @property
    def members(self) -> dict[str, Any]:
        """The current version, for a program that reads bodies."""
        return {"current_version": self.current_version}


@dataclass(kw_only=True, eq=False)
class NameTaken(Problem):
    """Another one has this name or sku."""

    status = HTTPStatus.CONFLICT
    code = "name_taken"
    detail = "Another one has this {what} already."
    what: str


@dataclass(kw_only=True, eq=False)
class StillInUse(Problem):
    """It cannot be deleted: something refers to it."""

    status = HTTPStatus.CONFLICT
    code = "still_in_use"
    detail = "Something else still refers to it."


@dataclass(kw_only=True, eq=False)
class StockOutOfRange(Problem):
    """There is less stock than would be taken, or the count would become too large."""

    available: int
    status = HTTPStatus.CONFLICT
    code = "stock_out_of_range"
    detail = "The stock is {available}."

    @property
    def members(self) -> dict[str, Any]:
        """How much there is, for a program."""
        return {"available": self.available}


# What a route of the catalogue says about its problems.
BY_ADMIN = (InvalidAccessToken, RoleNotAllowed, InvalidRequest)
BY_EDITOR = (*BY_ADMIN, NotYourVendor)
VERSIONED = (VersionRequired, VersionMismatch)
