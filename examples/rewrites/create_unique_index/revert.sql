DROP INDEX orders_reference;
DROP INDEX customers_email;
