CREATE TABLE measurements (
    sensor text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now(),
    value double precision
);
INSERT INTO measurements (sensor, value)
SELECT 'sensor ' || n % 7, n FROM generate_series(1, 3000) AS n;
