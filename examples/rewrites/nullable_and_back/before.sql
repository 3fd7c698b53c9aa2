CREATE TABLE orders (
    id integer PRIMARY KEY,
    reference text NOT NULL,
    shop integer NOT NULL
);
INSERT INTO orders SELECT n, 'R-' || n, n % 7 FROM generate_series(1, 3000) AS n;
