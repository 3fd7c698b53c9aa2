"""The catalogue over HTTP, one file for each kind of thing."""

from fastapi import APIRouter

from marketplace.catalog.routes import categories, products, variants, vendors

router = APIRouter(tags=["catalogue"])
for part in (products, variants, vendors, categories):
    router.include_router(part.router)
