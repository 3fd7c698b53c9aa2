CREATE INDEX orders_status ON orders (status);
CREATE INDEX orders_placed_at ON orders (placed_at);
