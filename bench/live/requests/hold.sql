-- A transaction that stays open for 5 s, with a row of each table locked that no request touches; then a rest.
\set rest random(:rest_from * 1000, :rest_to * 1000)
\set id :client_id + 1
\sleep :rest ms
BEGIN;
UPDATE orders SET note = note WHERE id = :id;
UPDATE variants SET sku = sku WHERE id = :id;
UPDATE products SET name = name WHERE id = :id;
UPDATE users SET name = name WHERE id = :id;
\sleep 5 s
COMMIT;
