INSERT INTO visits SELECT n, 'page' || n % 7, n FROM generate_series(3, 3000, 3) AS n;
