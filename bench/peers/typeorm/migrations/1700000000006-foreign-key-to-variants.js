// As migration:generate writes it.
module.exports = class ForeignKeyToVariants1700000000006 {
  name = "ForeignKeyToVariants1700000000006";

  async up(queryRunner) {
    await queryRunner.query(`ALTER TABLE "orders" ADD CONSTRAINT "fk_orders_variant" FOREIGN KEY ("variant_id") REFERENCES "variants"("id") ON DELETE NO ACTION ON UPDATE NO ACTION`);
  }

  async down() {
    throw new Error("not measured");
  }
};
