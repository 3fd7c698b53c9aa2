// pg finds the server by PGHOST, PGPORT, PGUSER and PGDATABASE.
require("reflect-metadata");
const { DataSource } = require("typeorm");

module.exports = new DataSource({ type: "postgres", migrations: [__dirname + "/migrations/*.js"] });
