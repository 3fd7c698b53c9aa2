// As migration:generate writes it.
module.exports = class AddVersionColumns1700000000003 {
  name = "AddVersionColumns1700000000003";

  async up(queryRunner) {
    await queryRunner.query(`ALTER TABLE "products" ADD "version" integer NOT NULL DEFAULT '1'`);
    await queryRunner.query(`ALTER TABLE "variants" ADD "version" integer NOT NULL DEFAULT '1'`);
  }

  async down() {
    throw new Error("not measured");
  }
};
