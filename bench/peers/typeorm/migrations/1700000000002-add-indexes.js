// As migration:generate writes it.
module.exports = class AddIndexes1700000000002 {
  name = "AddIndexes1700000000002";

  async up(queryRunner) {
    await queryRunner.query(`CREATE INDEX "ix_users_email" ON "users" ("email")`);
    await queryRunner.query(`CREATE INDEX "ix_users_phone_number" ON "users" ("phone_number")`);
    await queryRunner.query(`CREATE INDEX "ix_users_email_is_verified" ON "users" ("email", "is_verified")`);
    await queryRunner.query(`CREATE INDEX "ix_products_name" ON "products" ("name")`);
    await queryRunner.query(`CREATE INDEX "ix_products_stock" ON "products" ("stock")`);
    await queryRunner.query(`CREATE INDEX "ix_products_vendor_subcategory" ON "products" ("vendor_id", "subcategory_id")`);
    await queryRunner.query(`CREATE INDEX "ix_orders_ordered_by_status" ON "orders" ("ordered_by_id", "status")`);
    await queryRunner.query(`CREATE INDEX "ix_orders_payment_status" ON "orders" ("payment_status")`);
    await queryRunner.query(`CREATE INDEX "ix_orders_created_at" ON "orders" ("created_at")`);
  }

  async down() {
    throw new Error("not measured");
  }
};
