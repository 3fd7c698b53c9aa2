CREATE TABLE orders (
    id integer PRIMARY KEY,
    reference text NOT NULL,
    shop integer NOT NULL,
    status text NOT NULL DEFAULT 'new',
    total integer NOT NULL,
    CONSTRAINT orders_total CHECK (total < 1000),
    CONSTRAINT orders_reference UNIQUE (reference)
);
INSERT INTO orders
SELECT n, 'R-' || n, n % 7, (ARRAY['new', 'paid', 'sent'])[1 + n % 3], n % 500
FROM generate_series(1, 3000) AS n;
CREATE TABLE changes (orders_id integer NOT NULL);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO changes VALUES (NEW.id); RETURN NEW; END';
CREATE TRIGGER note_change AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note_change();
