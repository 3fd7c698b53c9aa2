DROP TABLE orders, shipments;
