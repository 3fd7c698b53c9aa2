"""Orders over HTTP, and the payment provider's notices about their money."""

from marketplace.orders.routes import orders, payments, refunds

ROUTES = [route for part in (orders, payments, refunds) for route in part.router.routes]
DIRECT = orders.DIRECT
