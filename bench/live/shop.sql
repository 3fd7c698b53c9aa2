-- The shop before the change. psql variables: users, products, variants, orders (numbers of rows).
CREATE TABLE users (
    id serial PRIMARY KEY, email text NOT NULL, phone_number text, is_verified boolean NOT NULL DEFAULT false,
    name text, created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE products (
    id serial PRIMARY KEY, name text NOT NULL, stock integer NOT NULL, vendor_id integer NOT NULL,
    subcategory_id integer NOT NULL, price_cents integer NOT NULL
);
CREATE TABLE variants (
    id serial PRIMARY KEY, product_id integer NOT NULL, sku text NOT NULL, stock integer NOT NULL
);
CREATE TABLE orders (
    id serial PRIMARY KEY, order_number text NOT NULL, ordered_by_id integer NOT NULL, variant_id integer NOT NULL,
    status text NOT NULL, payment_status text NOT NULL, channel text, total_cents integer NOT NULL, note text,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO users (email, phone_number, is_verified, name)
    SELECT 'user' || i || '@example.com', '+49' || (1500000000 + i), i % 3 > 0, 'User ' || i
    FROM generate_series(1, :users) i;
INSERT INTO products (name, stock, vendor_id, subcategory_id, price_cents)
    SELECT 'Product ' || i, 1000000, i % 500 + 1, i % 60 + 1, 100 + i % 9000 FROM generate_series(1, :products) i;
INSERT INTO variants (product_id, sku, stock)
    SELECT i % :products + 1, 'SKU-' || i, 1000000 FROM generate_series(1, :variants) i;
INSERT INTO orders (order_number, ordered_by_id, variant_id, status, payment_status, channel, total_cents, note, created_at)
    SELECT 'ORD-' || i, 1 + (i::bigint * 7919) % :users, 1 + (i::bigint * 104729) % :variants,
        (ARRAY['pending', 'paid', 'shipped', 'delivered', 'cancelled'])[1 + i % 5],
        (ARRAY['unpaid', 'paid', 'refunded'])[1 + i % 3],
        'web', 100 + i % 100000, 'note for order ' || i, now() - (i || ' seconds')::interval
    FROM generate_series(1, :orders) i;
CREATE INDEX variants_product_id ON variants (product_id);
CREATE INDEX orders_ordered_by_id ON orders (ordered_by_id);
ALTER TABLE variants ADD FOREIGN KEY (product_id) REFERENCES products;
ALTER TABLE orders ADD FOREIGN KEY (ordered_by_id) REFERENCES users;
VACUUM (FREEZE, ANALYZE);
