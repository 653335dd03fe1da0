// Runs the public GraphQL over HTTP audit against the URL given, and prints a JSON line for each check.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../../clients/explorer/package.json", import.meta.url));
const { serverAudits } = require("graphql-http");

for (const { id, name, fn } of serverAudits({ url: process.argv[2] })) {
  const { status, reason } = await fn();
  console.log(JSON.stringify({ id, name, status, reason }));
}
