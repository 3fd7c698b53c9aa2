"""The routes of variants, and of their stock, which is no part of them."""

from uuid import UUID

from fastapi import Response

from marketplace.accounts.principal import Editor
from marketplace.catalog.etags import TAGGED, IfMatch, expected, tag
from marketplace.catalog.problems import (
    BY_EDITOR,
    VERSIONED,
    NameTaken,
    ProductNotFound,
    StockOutOfRange,
    VariantNotFound,
)
from marketplace.catalog.schemas import (
    Adjustment,
    Availability,
    NewVariant,
    VariantDetail,
    VariantEdit,
)
from marketplace.catalog.service import variants
from marketplace.database import RequestTransactions
from marketplace.entities import Variant
from marketplace.problems import InvalidRequest, api_router, documented

router = api_router(tags=["catalogue"])


@router.post(
    "/products/{product_id}/variants",
    status_code=201,
    response_model=VariantDetail,
    responses=documented(*BY_EDITOR, ProductNotFound, NameTaken),
)
async def create_variant(
    transactions: RequestTransactions,
    principal: Editor,
    product_id: UUID,
    new: NewVariant,
    response: Response,
) -> Variant:
    """Add a variant to a product; it has no stock yet."""
    variant = await transactions.write(variants.create, product_id, new=new, principal=principal)
    tag(response, variant)
    return variant


@router.get(
    "/variants/{variant_id}",
    response_model=VariantDetail,
    responses=TAGGED | documented(VariantNotFound, InvalidRequest),
)
async def get_variant(
    transactions: RequestTransactions, variant_id: UUID, response: Response
) -> Variant:
    """Get one variant, without its stock."""
    variant = await transactions.read(variants.get, variant_id)
    tag(response, variant)
    return variant


@router.patch(
    "/variants/{variant_id}",
    response_model=VariantDetail,
    responses=TAGGED | documented(*BY_EDITOR, *VERSIONED, VariantNotFound, NameTaken),
)
async def edit_variant(
    transactions: RequestTransactions,
    principal: Editor,
    variant_id: UUID,
    change: VariantEdit,
    response: Response,
    if_match: IfMatch = None,
) -> Variant:
    """Change what is named in the body, if nobody else has changed the variant meanwhile."""
    variant = await transactions.write(
        variants.edit,
        variant_id,
        change=change,
        expected=expected(if_match, principal=principal, body_version=change.version),
        principal=principal,
    )
    tag(response, variant)
    return variant


@router.delete(
    "/variants/{variant_id}",
    status_code=204,
    responses=documented(*BY_EDITOR, *VERSIONED, VariantNotFound),
)
async def archive_variant(
    transactions: RequestTransactions, principal: Editor, variant_id: UUID, if_match: IfMatch = None
) -> None:
    """Take a variant off sale. Its sku is free again."""
    await transactions.write(
        variants.archive,
        variant_id,
        expected=expected(if_match, principal=principal),
        principal=principal,
    )


@router.get(
    "/variants/{variant_id}/availability",
    responses=documented(VariantNotFound, InvalidRequest),
)
async def get_availability(
    transactions: RequestTransactions, variant_id: UUID, response: Response
) -> Availability:
    """Get how much can be sold right now. Never cached: each sale changes it, and no edit."""
    response.headers["Cache-Control"] = "no-store"
    return await transactions.read(variants.availability, variant_id)


@router.post(
    "/variants/{variant_id}/stock-adjustments",
    status_code=201,
    responses=documented(*BY_EDITOR, VariantNotFound, StockOutOfRange),
)
async def adjust_stock(
    transactions: RequestTransactions, principal: Editor, variant_id: UUID, adjustment: Adjustment
) -> Availability:
    """Record that goods came, went or were counted: by how much, and why. No If-Match: deltas add up."""
    return await transactions.write(
        variants.adjust_stock, variant_id, adjustment=adjustment, principal=principal
    )
