// Answers operations with @apollo/gateway, found in the folder named by ORACLE_MODULES, over subgraphs served at `base`.
// Input on stdin: {base, cases: [{supergraph, operations: [{source, variables}]}]}; output: [[{data, errors, requests}]].
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.ORACLE_MODULES}/package.json`);
const { ApolloGateway } = require('@apollo/gateway');
const { parse } = require('graphql');

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

async function answerCase(base, index, { supergraph, operations }) {
  let requests = 0;
  const buildService = ({ name }) => ({
    async process({ request }) {
      requests += 1;
      const body = JSON.stringify({ query: request.query, variables: request.variables });
      const answer = await fetch(`${base}/${index}/${name}`, { method: 'POST', body });
      return answer.json();
    },
  });
  let gateway;
  try {
    gateway = new ApolloGateway({ supergraphSdl: supergraph, buildService, logger: quiet });
    const { executor } = await gateway.load();
    const answers = [];
    for (const { source, variables } of operations) {
      requests = 0;
      try {
        const { data, errors } = await executor({
          document: parse(source),
          request: { query: source, variables, http: { headers: new Map() } },
          queryHash: source,
          context: {},
          schema: gateway.schema,
          cache: new Map(),
          metrics: {},
          overallCachePolicy: {},
        });
        answers.push({ data, errors: errors?.map((error) => error.message), requests });
      } catch (error) {
        answers.push({ thrown: error.message });
      }
    }
    return answers;
  } catch (error) {
    return operations.map(() => ({ thrown: error.message }));
  }
}

const { base, cases } = JSON.parse(readFileSync(0, 'utf8'));
const found = [];
for (const [index, one] of cases.entries()) found.push(await answerCase(base, index, one));
process.stdout.write(JSON.stringify(found));
process.exit(0);
