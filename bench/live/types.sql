-- What A4 needs besides the shop: three foreign keys to users. psql variable: users.
CREATE TABLE addresses (id serial PRIMARY KEY, user_id integer NOT NULL REFERENCES users ON DELETE CASCADE, city text);
CREATE TABLE reviews (id serial PRIMARY KEY, user_id integer REFERENCES users ON DELETE SET NULL, stars integer);
INSERT INTO addresses (user_id, city) SELECT i, 'City ' || i FROM generate_series(1, :users) i;
INSERT INTO reviews (user_id, stars) SELECT i, i % 5 FROM generate_series(1, :users) i;
CREATE INDEX ON addresses (user_id);
CREATE INDEX ON reviews (user_id);
VACUUM (ANALYZE) addresses, reviews;
