// As migration:generate writes it.
module.exports = class ChannelNotNull1700000000005 {
  name = "ChannelNotNull1700000000005";

  async up(queryRunner) {
    await queryRunner.query(`ALTER TABLE "orders" ALTER COLUMN "channel" SET NOT NULL`);
  }

  async down() {
    throw new Error("not measured");
  }
};
