"""Orders over HTTP, and what the payment provider tells of their money."""

from fastapi import APIRouter

from marketplace.orders.routes import orders, payments

router = APIRouter()
for part in (orders, payments):
    router.include_router(part.router)
