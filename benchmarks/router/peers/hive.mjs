import { createGatewayRuntime } from "@graphql-hive/gateway";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";

const gateway = createGatewayRuntime({
  supergraph: readFileSync(process.env.SUPERGRAPH, "utf8"),
  logging: false,
  landingPage: false,
});
createServer(gateway).listen(Number(process.env.PORT), "127.0.0.1");
