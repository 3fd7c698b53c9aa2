REINDEX INDEX orders_status;
REINDEX TABLE orders;
