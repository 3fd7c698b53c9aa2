// The usual way with Express and TypeORM: `http.js PORT`. One process; routes, middleware and JSON as Express has them.
require("reflect-metadata")
const express = require("express")
const jwt = require("jsonwebtoken")
const { DataSource } = require("typeorm")
const { randomUUID, randomBytes } = require("crypto")
const { entities, digest, live, rotate, take, lines_of } = require("./entities.js")

const world = JSON.parse(require("fs").readFileSync(process.env.SHOP_WORLD))
const access_key = Buffer.from(world.access_key, "hex")
const source = new DataSource({
    type: "postgres", host: world.socket, port: world.port, username: world.user, database: world.database, entities,
    extra: { max: world.pool, min: world.pool },
})
const app = express()
app.use(express.json())

const seal = (product) => Buffer.from(JSON.stringify([product.name, product.id])).toString("base64url")
const open = (cursor) => JSON.parse(Buffer.from(cursor, "base64url"))

// With its vendor and subcategory, by one SELECT.
async function page(limit, cursor) {
    const query = source.manager.createQueryBuilder("Product", "product")
        .innerJoinAndSelect("product.vendor", "vendor").innerJoinAndSelect("product.subcategory", "subcategory")
        .where("product.archived_at is null").orderBy("product.name").addOrderBy("product.id").limit(limit + 1)
    if (cursor) {
        const [name, id] = open(cursor)
        query.andWhere("(product.name, product.id) > (:name, :id)", { name, id })
    }
    const found = await query.getMany()
    const items = found.slice(0, limit).map(({ id, name, price, currency, vendor, subcategory }) => ({
        id, name, price: Number(price), currency, vendor: { id: vendor.id, name: vendor.name },
        subcategory: { id: subcategory.id, name: subcategory.name },
    }))
    return { items, next_cursor: found.length > limit ? seal(items[limit - 1]) : null }
}

async function authenticate(request, response, next) {
    const claims = jwt.verify((request.get("Authorization") ?? "").replace("Bearer ", ""), access_key, { algorithms: ["HS256"], audience: "marketplace" })
    const session = await live(source.manager, claims.sid)
    if (session === null) return response.status(401).json({ code: "invalid_access_token" })
    request.user = session.user
    next()
}

async function refresh(token) {
    const [sessionId] = token.split(".")
    const child = `${sessionId}.${randomBytes(32).toString("base64url")}`
    await source.transaction((manager) => rotate(manager, [sessionId, token], child))
    const access_token = jwt.sign({ sid: sessionId }, access_key, { audience: "marketplace", expiresIn: 300 })
    return { token_type: "Bearer", access_token, expires_in: 300, refresh_token: child, refresh_expires_in: 1209600, session_id: sessionId }
}

async function check_out(manager, user_id, key, wanted) {
    const known = await manager.findOneBy("IdempotencyKey", { user_id, key })
    if (known !== null) return known.response
    const order_id = randomUUID()
    const lines = lines_of(await take(manager, wanted), order_id).map((line) => ({ ...line, unit_price: Number(line.unit_price), total: Number(line.total) }))
    const subtotal = lines.reduce((sum, line) => sum + line.total, 0)
    const totals = { currency: "EUR", subtotal, shipping: 490, total: subtotal + 490 }
    await manager.insert("Order", { id: order_id, ordered_by_id: user_id, ...totals })
    await manager.insert("OrderLine", lines)
    await manager.insert("OrderEvent", { id: randomUUID(), order_id, machine: "status", to_state: "pending", reason: "checkout", actor_id: user_id })
    const response = { id: order_id, status: "pending", payment_status: "pending", ...totals, lines }
    await manager.insert("IdempotencyKey", {
        user_id, key, method: "POST", path: "/checkout", fingerprint: digest(JSON.stringify(wanted)), status: 201, response,
        expires_at: new Date(Date.now() + 86400000),
    })
    return response
}

app.get("/healthz", (request, response) => response.json({ status: "ok" }))
app.get("/products", async (request, response) => response.json(await page(Number(request.query.limit ?? 20), request.query.cursor)))
app.post("/auth/refresh", async (request, response) => response.json(await refresh(request.body.refresh_token)))
app.post("/checkout", authenticate, async (request, response) => {
    const wanted = request.body.lines.map((line) => line.variant_id)
    const key = request.get("Idempotency-Key")
    response.status(201).json(await source.transaction((manager) => check_out(manager, request.user.id, key, wanted)))
})

source.initialize().then(() => app.listen(+process.argv[2], "127.0.0.1"))
