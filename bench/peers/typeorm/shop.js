// The usual way with TypeORM: `shop.js WORKERS SECONDS`. Prints operations a second of each path, as JSON.
// One SELECT with its joins (the query builder: `findOne` with relations would send two), rows inserted without
// the look-ups that `save` does first: what a team writes that has looked at its statements.
require("reflect-metadata")
const { DataSource } = require("typeorm")
const { randomUUID, randomBytes } = require("crypto")

const [workers, seconds] = [+process.argv[2], +process.argv[3]]
const world = JSON.parse(require("fs").readFileSync(process.env.SHOP_WORLD))
const { entities, digest, live, require_that, rotate, take, lines_of } = require("./entities.js")

const any = (list) => list[Math.floor(Math.random() * list.length)]
const tokens = Object.entries(world.tokens)

async function order(manager) {
    const [user_id, key, order_id] = [any(world.users), randomUUID(), randomUUID()]
    require_that(await manager.findOneBy("IdempotencyKey", { user_id, key }) === null, "placed before")
    const wanted = new Set()
    while (wanted.size < 3) wanted.add(any(world.variants))
    const variants = await take(manager, [...wanted])
    const lines = lines_of(variants, order_id)
    const subtotal = lines.reduce((sum, line) => sum + Number(line.total), 0)
    const totals = { subtotal, shipping: 490, total: subtotal + 490 }
    await manager.insert("Order", { id: order_id, ordered_by_id: user_id, currency: "EUR", ...totals })
    await manager.insert("OrderLine", lines)
    await manager.insert("OrderEvent", { id: randomUUID(), order_id, machine: "status", to_state: "pending", reason: "checkout", actor_id: user_id })
    await manager.insert("IdempotencyKey", {
        user_id, key, method: "POST", path: "/checkout", fingerprint: digest(key), status: 201,
        response: { id: order_id, ...totals, lines }, expires_at: new Date(Date.now() + 86400000),
    })
}

const paths = (source) => ({
    session: async () => require_that(await live(source.manager, any(world.sessions)) !== null, "no session"),
    rotate: async () => {
        const [current, child] = [tokens.pop(), randomBytes(32).toString("base64url")]
        await source.transaction((manager) => rotate(manager, current, child))
        tokens.unshift([current[0], child])
    },
    stock: () => source.transaction((manager) => take(manager, [any(world.variants)])),
    order: () => source.transaction(order),
})

async function rate(work) {
    let [done, isOver] = [0, false]
    const worker = async () => { while (!isOver) { await work(); done++ } }
    const all = Array.from({ length: workers }, worker)
    const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
    await sleep(world.warm_up * 1000)
    const [before, began] = [done, performance.now()]
    await sleep(seconds * 1000)
    const found = (done - before) / (performance.now() - began) * 1000
    isOver = true
    await Promise.all(all)
    return found
}

async function main() {
    const source = await new DataSource({
        type: "postgres", host: world.socket, port: world.port, username: world.user, database: world.database, entities,
        extra: { max: workers, min: workers },
    }).initialize()
    const found = {}
    for (const [name, work] of Object.entries(paths(source))) found[name] = await rate(work)
    await source.destroy()
    console.log(JSON.stringify(found))
}

main().catch((error) => { console.error(error); process.exit(1) })
