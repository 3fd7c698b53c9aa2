// The entities of the shop, and what every program with TypeORM does with them: `shop.js`, `http.js`.
const { EntitySchema } = require("typeorm")
const { randomBytes, createHash } = require("crypto")

const uuid = { type: "uuid" }, int = { type: "int" }, text = { type: "text" }, bigint = { type: "bigint" }
const id = { ...uuid, primary: true }
const moment = { type: "timestamptz" }
const or_null = (type) => ({ ...type, nullable: true })

const entity = (name, tableName, columns, relations) => new EntitySchema({ name, tableName, columns, relations })
const to = (target, name) => ({ type: "many-to-one", target, joinColumn: { name } })
const entities = [
    entity("User", "users", { id, role: text, vendor_id: or_null(uuid), disabled_at: or_null(moment) }),
    entity("Session", "sessions", {
        id, refresh_token_hash: { type: "bytea" }, previous_token_hash: or_null({ type: "bytea" }), generation: int,
        rotation_nonce: or_null({ type: "bytea" }), rotated_at: or_null(moment), user_agent: or_null(text),
        ip_address: or_null({ type: "inet" }), authenticated_at: moment, last_used_at: moment, expires_at: moment,
        absolute_expires_at: moment, is_revoked: { type: "boolean" },
    }, { user: to("User", "user_id") }),
    entity("AuditEvent", "audit_events", {
        id: { type: "bigint", primary: true, generated: "identity", generatedIdentity: "ALWAYS" },
        action: text, user_id: uuid, session_id: uuid, token_digest: text,
    }),
    entity("Vendor", "vendors", { id, name: text }),
    entity("Subcategory", "subcategories", { id, name: text }),
    entity("Product", "products", { id, name: text, price: bigint, currency: text, archived_at: or_null(moment) }, {
        vendor: to("Vendor", "vendor_id"), subcategory: to("Subcategory", "subcategory_id"),
    }),
    entity("Variant", "variants", {
        id, sku: text, name: text, price: bigint, currency: text, stock: int, archived_at: or_null(moment),
    }, { product: to("Product", "product_id") }),
    entity("Order", "orders", { id, ordered_by_id: uuid, currency: text, subtotal: bigint, shipping: bigint, total: bigint }),
    entity("OrderLine", "order_lines", {
        order_id: { ...uuid, primary: true }, line_number: { ...int, primary: true }, variant_id: uuid, vendor_id: uuid,
        vendor_name: text, product_name: text, variant_name: text, sku: text, unit_price: bigint, quantity: int, total: bigint,
    }),
    entity("OrderEvent", "order_events", { id, order_id: uuid, machine: text, to_state: text, reason: text, actor_id: uuid }),
    entity("IdempotencyKey", "idempotency_keys", {
        user_id: { ...uuid, primary: true }, key: { type: "varchar", primary: true }, method: text, path: text,
        fingerprint: { type: "bytea" }, status: int, response: { type: "json" }, expires_at: moment,
    }),
]

const digest = (token) => createHash("sha256").update(token).digest()
const require_that = (holds, what) => { if (!holds) throw new Error(what) }

const live = (manager, sessionId) => manager.createQueryBuilder("Session", "session")
    .innerJoinAndSelect("session.user", "user")
    .where("session.id = :sessionId and not session.is_revoked and session.expires_at > now() and user.disabled_at is null", { sessionId })
    .getOne()

// Reads the variants with their names, then takes one of each, in the order of their ids.
async function take(manager, wanted) {
    const variants = await manager.createQueryBuilder("Variant", "variant")
        .innerJoinAndSelect("variant.product", "product").innerJoinAndSelect("product.vendor", "vendor")
        .where("variant.id = any(:wanted) and variant.archived_at is null", { wanted }).orderBy("variant.id").getMany()
    require_that(variants.length === wanted.length, "not for sale")
    for (const variant of variants) {
        const taken = await manager.createQueryBuilder().update("Variant").set({ stock: () => "stock - 1" })
            .where("id = :id and stock >= 1", { id: variant.id }).execute()
        require_that(taken.affected === 1, "out of stock")
    }
    return variants
}

async function rotate(manager, [sessionId, token], child) {
    const session = await live(manager, sessionId)
    require_that(session.refresh_token_hash.equals(digest(token)), "another token")
    const rotated = await manager.createQueryBuilder().update("Session").set({
        refresh_token_hash: digest(child), previous_token_hash: session.refresh_token_hash, generation: () => "generation + 1",
        rotation_nonce: randomBytes(16), rotated_at: () => "now()", last_used_at: () => "now()",
        expires_at: () => "least(now() + interval '14 days', absolute_expires_at)", user_agent: "a browser", ip_address: "192.0.2.7",
    }).where("id = :id and refresh_token_hash = :hash and generation = :generation and not is_revoked and expires_at > now()",
        { id: session.id, hash: session.refresh_token_hash, generation: session.generation }).execute()
    require_that(rotated.affected === 1, "rotated by another")
    await manager.insert("AuditEvent", {
        action: "session.refreshed", user_id: session.user.id, session_id: session.id, token_digest: digest(token).toString("hex").slice(0, 8),
    })
}

const lines_of = (variants, order_id) => variants.map((variant, place) => ({
    order_id, line_number: place + 1, variant_id: variant.id, vendor_id: variant.product.vendor.id, vendor_name: variant.product.vendor.name,
    product_name: variant.product.name, variant_name: variant.name, sku: variant.sku, unit_price: variant.price, quantity: 1, total: variant.price,
}))

module.exports = { entities, digest, live, require_that, rotate, take, lines_of }
