import { ApolloGateway } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { readFileSync } from "node:fs";

const gateway = new ApolloGateway({ supergraphSdl: readFileSync(process.env.SUPERGRAPH, "utf8") });
const server = new ApolloServer({ gateway, csrfPrevention: false });
await startStandaloneServer(server, { listen: { host: "127.0.0.1", port: Number(process.env.PORT) } });
