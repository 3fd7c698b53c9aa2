"""The catalogue over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from marketplace.catalog import service
from marketplace.catalog.schemas import ProductDetail, ProductFilters, ProductPage
from marketplace.database import RequestSession
from marketplace.problems import InvalidCursor, InvalidRequest, ProductNotFound, documented

router = APIRouter(prefix="/products", tags=["catalogue"])


@router.get("", responses=documented(InvalidCursor, InvalidRequest))
async def list_products(
    request: Request, session: RequestSession, filters: Annotated[ProductFilters, Query()]
) -> ProductPage:
    """Products by name, a page at a time."""
    return await service.list_products(
        session, filters=filters, cursors=request.app.state.product_cursors
    )


@router.get("/{product_id}", responses=documented(ProductNotFound, InvalidRequest))
async def get_product(session: RequestSession, product_id: UUID) -> ProductDetail:
    """One product with its variants."""
    return await service.get_product(session, product_id=product_id)
