"""Orders over HTTP, and what the payment provider tells of their money."""

from marketplace.orders.routes import orders, payments, refunds

ROUTES = [route for part in (orders, payments, refunds) for route in part.router.routes]
DIRECT = orders.DIRECT
