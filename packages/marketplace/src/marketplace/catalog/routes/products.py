"""The routes of products."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from holdfast.application.own_writes import position_to_read
from marketplace.accounts.principal import Editor
from marketplace.catalog.etags import TAGGED, IfMatch, expected, tag
from marketplace.catalog.problems import (
    BY_EDITOR,
    VERSIONED,
    ProductNotFound,
    SubcategoryNotFound,
    VendorNotFound,
)
from marketplace.catalog.schemas import (
    LowStockFilters,
    LowStockPage,
    NewProduct,
    ProductDetail,
    ProductEdit,
    ProductFilters,
    ProductPage,
)
from marketplace.catalog.service import products
from marketplace.cursors import Cursors, cursors_of
from marketplace.database import RequestTransactions, transactions_of
from marketplace.direct import Direct, route_of
from marketplace.problems import InvalidCursor, InvalidRequest, api_router, documented
from marketplace.query_parameters import documented_query, read_query
from marketplace.shared_reads import SharedReads

router = api_router(tags=["catalogue"])
product_cursors = cursors_of("products")


@router.get(
    "/products",
    response_model=ProductPage,
    responses=documented(InvalidCursor, InvalidRequest),
    openapi_extra=documented_query(ProductFilters),
)
async def list_products(request: Request) -> Response:
    """List products by name, a page at a time."""
    # All that the answer depends on: whoever asks the same at the same time shares it.
    key = request.scope["query_string"], position_to_read()
    pages: SharedReads[bytes] = request.app.state.product_pages
    return Response(await pages.read(key, partial(_page, request)), media_type="application/json")


async def _page(request: Request) -> bytes:
    filters = read_query(ProductFilters, request)
    transactions, cursors = await transactions_of(request), await product_cursors(request)
    return await transactions.read_page_on_driver(products.page, filters, cursors=cursors)


@router.get("/low-stock", responses=documented(*BY_EDITOR, InvalidCursor))
async def list_low_stock(
    transactions: RequestTransactions,
    principal: Editor,
    filters: Annotated[LowStockFilters, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("low stock"))],
) -> LowStockPage:
    """List what runs low, the lowest first: a vendor's own products, or the whole shop's."""
    return await transactions.read(
        products.low_stock, filters, principal=principal, cursors=cursors
    )


@router.get(
    "/products/{product_id}",
    responses=TAGGED | documented(ProductNotFound, InvalidRequest),
)
async def get_product(
    transactions: RequestTransactions, product_id: UUID, response: Response
) -> ProductDetail:
    """Get one product with the variants that are for sale."""
    return await _detail(transactions, product_id, response)


@router.post(
    "/products",
    status_code=201,
    responses=documented(*BY_EDITOR, VendorNotFound, SubcategoryNotFound),
)
async def create_product(
    transactions: RequestTransactions,
    principal: Editor,
    new: NewProduct,
    response: Response,
) -> ProductDetail:
    """Put something on sale. Add variants next, and adjust their stock."""
    product_id = await transactions.write(products.create, new, principal=principal)
    return await _detail(transactions, product_id, response)


@router.patch(
    "/products/{product_id}",
    responses=TAGGED | documented(*BY_EDITOR, *VERSIONED, ProductNotFound, SubcategoryNotFound),
)
async def edit_product(
    transactions: RequestTransactions,
    principal: Editor,
    product_id: UUID,
    change: ProductEdit,
    response: Response,
    if_match: IfMatch = None,
) -> ProductDetail:
    """Change what is named in the body, if nobody else has changed the product meanwhile."""
    await transactions.write(
        products.edit,
        product_id,
        change=change,
        expected=expected(if_match, principal=principal, body_version=change.version),
        principal=principal,
    )
    return await _detail(transactions, product_id, response)


@router.delete(
    "/products/{product_id}",
    status_code=204,
    responses=documented(*BY_EDITOR, *VERSIONED, ProductNotFound),
)
async def archive_product(
    transactions: RequestTransactions, principal: Editor, product_id: UUID, if_match: IfMatch = None
) -> None:
    """Take a product off sale, with its variants. Orders keep what they say."""
    await transactions.write(
        products.archive,
        product_id,
        expected=expected(if_match, principal=principal),
        principal=principal,
    )


async def _detail(
    transactions: RequestTransactions, product_id: UUID, response: Response
) -> ProductDetail:
    product = await transactions.read(products.get, product_id)
    tag(response, product)
    return ProductDetail.model_validate(product)


DIRECT = [Direct(route=route_of(router, list_products), answer=list_products)]
