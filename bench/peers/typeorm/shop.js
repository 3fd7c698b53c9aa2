// shop.js PATH WORKERS SECONDS: one of the hot paths with TypeORM, as its documentation has it. Prints operations a second.
// The same tables, the same rows, the same work: what is read, compared and written is what the marketplace reads, compares and writes.
require("reflect-metadata")
const { DataSource, EntitySchema } = require("typeorm")
const { randomUUID, randomBytes, createHash } = require("crypto")

const [path, workers, seconds] = [process.argv[2], +process.argv[3], +process.argv[4]]
const world = JSON.parse(require("fs").readFileSync(process.env.SHOP_WORLD)) // socket, user, database; ids of sessions, variants, users
const uuid = { type: "uuid" }, int = { type: "int" }, text = { type: "text" }, bigint = { type: "bigint" }
const id = { ...uuid, primary: true }
const moment = { type: "timestamptz" }

const entity = (name, tableName, columns, relations) => new EntitySchema({ name, tableName, columns, relations })
const to = (target, name) => ({ type: "many-to-one", target, joinColumn: { name } })
const entities = [
    entity("User", "users", { id, role: text, vendor_id: { ...uuid, nullable: true }, disabled_at: { ...moment, nullable: true } }),
    entity("Session", "sessions", {
        id, refresh_token_hash: { type: "bytea" }, previous_token_hash: { type: "bytea", nullable: true }, generation: int,
        rotated_at: { ...moment, nullable: true }, last_used_at: moment, expires_at: moment, absolute_expires_at: moment,
        authenticated_at: moment, is_revoked: { type: "boolean" },
    }, { user: to("User", "user_id") }),
    entity("AuditEvent", "audit_events", {
        id: { type: "bigint", primary: true, generated: "identity", generatedIdentity: "ALWAYS" },
        action: text, user_id: uuid, session_id: uuid,
    }),
    entity("Vendor", "vendors", { id, name: text }),
    entity("Product", "products", { id, name: text }, { vendor: to("Vendor", "vendor_id") }),
    entity("Variant", "variants", { id, sku: text, name: text, price: bigint, currency: text, stock: int }, { product: to("Product", "product_id") }),
    entity("Order", "orders", { id, ordered_by_id: uuid, currency: text, subtotal: bigint, shipping: bigint, total: bigint }, {
        lines: { type: "one-to-many", target: "OrderLine", inverseSide: "order", cascade: true },
        events: { type: "one-to-many", target: "OrderEvent", inverseSide: "order", cascade: true },
    }),
    entity("OrderLine", "order_lines", {
        order_id: { ...uuid, primary: true }, line_number: { ...int, primary: true }, variant_id: uuid, vendor_id: uuid,
        vendor_name: text, product_name: text, variant_name: text, sku: text, unit_price: bigint, quantity: int, total: bigint,
    }, { order: { ...to("Order", "order_id"), inverseSide: "lines" } }),
    entity("OrderEvent", "order_events", { id, machine: text, to_state: text, reason: text, actor_id: uuid }, {
        order: { ...to("Order", "order_id"), inverseSide: "events" },
    }),
    entity("IdempotencyKey", "idempotency_keys", {
        user_id: { ...uuid, primary: true }, key: { type: "varchar", primary: true }, method: text, path: text,
        fingerprint: { type: "bytea" }, status: int, response: { type: "json" }, expires_at: moment,
    }),
]

const any = (list) => list[Math.floor(Math.random() * list.length)]
const digest = () => createHash("sha256").update(randomBytes(32)).digest()
const day = () => new Date(Date.now() + 86400000)

// Reads the variant with its names, compares, takes one: as checkout does for each line.
async function take(manager, variantId) {
    const variant = await manager.findOne("Variant", { where: { id: variantId }, relations: { product: { vendor: true } } })
    const taken = await manager.createQueryBuilder().update("Variant").set({ stock: () => "stock - 1" })
        .where("id = :id and stock >= 1", { id: variantId }).execute()
    if (taken.affected !== 1) throw new Error("out of stock")
    return variant
}

const paths = (source) => ({
    session: () => source.getRepository("Session").findOne({ where: { id: any(world.sessions), is_revoked: false }, relations: { user: true } }),
    rotate: () => source.transaction(async (manager) => {
        const session = await manager.findOne("Session", { where: { id: any(world.sessions) }, relations: { user: true } })
        const rotated = await manager.createQueryBuilder().update("Session").set({
            refresh_token_hash: digest(), previous_token_hash: session.refresh_token_hash, generation: () => "generation + 1",
            rotated_at: () => "now()", last_used_at: () => "now()",
        }).where("id = :id and refresh_token_hash = :old and is_revoked = false", { id: session.id, old: session.refresh_token_hash }).execute()
        await manager.insert("AuditEvent", { action: "session.refreshed", user_id: session.user.id, session_id: session.id })
        return rotated
    }),
    stock: () => source.transaction((manager) => take(manager, any(world.variants))),
    order: () => source.transaction(async (manager) => {
        const [user, key] = [any(world.users), randomUUID()]
        await manager.findOneBy("IdempotencyKey", { user_id: user, key })
        const wanted = new Set()
        while (wanted.size < 3) wanted.add(any(world.variants))
        const variants = []
        for (const variantId of [...wanted].sort()) variants.push(await take(manager, variantId))
        const lines = variants.map((variant, place) => ({
            line_number: place + 1, variant_id: variant.id, vendor_id: variant.product.vendor.id, vendor_name: variant.product.vendor.name,
            product_name: variant.product.name, variant_name: variant.name, sku: variant.sku, unit_price: variant.price, quantity: 1, total: variant.price,
        }))
        const subtotal = lines.reduce((sum, line) => sum + Number(line.total), 0)
        const order = await manager.save("Order", {
            id: randomUUID(), ordered_by_id: user, currency: "EUR", subtotal, shipping: 490, total: subtotal + 490, lines,
            events: [{ id: randomUUID(), machine: "status", to_state: "pending", reason: "checkout", actor_id: user }],
        })
        await manager.insert("IdempotencyKey", {
            user_id: user, key, method: "POST", path: "/checkout", fingerprint: digest(), status: 201,
            response: { id: order.id, total: order.total, lines: order.lines }, expires_at: day(),
        })
    }),
})

async function main() {
    const source = await new DataSource({
        type: "postgres", host: world.socket, port: world.port, username: world.user, database: world.database, entities,
        extra: { max: workers, min: workers },
    }).initialize()
    const work = paths(source)[path]
    let [done, stop] = [0, false]
    const worker = async () => { while (!stop) { await work(); done++ } }
    const all = Array.from({ length: workers }, worker)
    const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
    await sleep(700)
    const [before, began] = [done, performance.now()]
    await sleep(seconds * 1000)
    const rate = (done - before) / (performance.now() - began) * 1000
    stop = true
    await Promise.all(all)
    await source.destroy()
    console.log(rate.toFixed(1))
}

main().catch((error) => { console.error(error); process.exit(1) })
