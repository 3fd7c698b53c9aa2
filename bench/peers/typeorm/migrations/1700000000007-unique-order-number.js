// As migration:generate writes it.
module.exports = class UniqueOrderNumber1700000000007 {
  name = "UniqueOrderNumber1700000000007";

  async up(queryRunner) {
    await queryRunner.query(`ALTER TABLE "orders" ADD CONSTRAINT "uq_orders_order_number" UNIQUE ("order_number")`);
  }

  async down() {
    throw new Error("not measured");
  }
};
