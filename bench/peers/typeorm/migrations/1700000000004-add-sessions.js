// As migration:generate writes it.
module.exports = class AddSessions1700000000004 {
  name = "AddSessions1700000000004";

  async up(queryRunner) {
    await queryRunner.query(`CREATE TABLE "sessions" ("id" uuid NOT NULL DEFAULT gen_random_uuid(), "user_id" integer NOT NULL, "refresh_token_hash" character varying(255) NOT NULL, "user_agent" character varying(255), "ip_address" character varying(45), "expires_at" TIMESTAMP WITH TIME ZONE NOT NULL, "is_revoked" boolean NOT NULL DEFAULT false, CONSTRAINT "pk_sessions" PRIMARY KEY ("id"))`);
    await queryRunner.query(`CREATE INDEX "ix_sessions_user_revoked" ON "sessions" ("user_id", "is_revoked")`);
    await queryRunner.query(`ALTER TABLE "sessions" ADD CONSTRAINT "fk_sessions_user" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE NO ACTION`);
  }

  async down() {
    throw new Error("not measured");
  }
};
