// Loads a supergraph SDL in other federation routers' libraries and plans a query with them, so that nobody is
// locked in. Usage: ORACLE_MODULES=/folder node scripts/check_supergraph_loads.mjs SUPERGRAPH [OPERATION]
// The folder has a node_modules with @apollo/query-planner, @apollo/federation-internals and graphql, and perhaps
// @graphql-tools/federation; what is not there is passed over and said so.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [supergraphFile, operationFile] = process.argv.slice(2);
const sdl = readFileSync(supergraphFile, 'utf8');
const require = createRequire(`${process.env.ORACLE_MODULES}/package.json`);
let failed = false;

function attempt(name, check) {
  let library;
  try {
    library = check.load();
  } catch (error) {
    console.log(`- ${name}: not installed (${error.code ?? error.message})`);
    return;
  }
  try {
    console.log(`- ${name}: ${check.run(library)}`);
  } catch (error) {
    failed = true;
    console.log(`- ${name}: FAILED ${error.message}`);
  }
}

function operationFor(schema) {
  if (operationFile) return readFileSync(operationFile, 'utf8');
  const { isLeafType, getNamedType, isRequiredArgument } = require('graphql');
  const fields = Object.values(schema.getQueryType().getFields()).filter((f) => !f.args.some(isRequiredArgument));
  const leaves = (type) =>
    Object.values(type.getFields?.() ?? {})
      .filter((f) => isLeafType(getNamedType(f.type)) && !f.args.some(isRequiredArgument))
      .map((f) => f.name);
  const selections = fields.map((f) => {
    const type = getNamedType(f.type);
    return isLeafType(type) ? f.name : `${f.name} { __typename ${leaves(type).join(' ')} }`;
  });
  return `{ __typename ${selections.join(' ')} }`;
}

attempt('Apollo query planner', {
  load: () => [require('@apollo/federation-internals'), require('@apollo/query-planner')],
  run: ([internals, planner]) => {
    const supportedFeatures = internals.ROUTER_SUPPORTED_SUPERGRAPH_FEATURES;
    const supergraph = internals.Supergraph.build(sdl, { supportedFeatures, validateSupergraph: true });
    const api = supergraph.apiSchema();
    const operation = internals.parseOperation(api, operationFor(api.toGraphQLJSSchema()));
    const plan = new planner.QueryPlanner(supergraph).buildQueryPlan(operation);
    const fetches = (planner.prettyFormatQueryPlan(plan).match(/Fetch\(/g) ?? []).length;
    return `loads, ${supergraph.subgraphsMetadata().length} subgraphs, a query plans in ${fetches} fetches`;
  },
});

attempt('GraphQL Tools (Hive Gateway)', {
  load: () => require('@graphql-tools/federation'),
  run: ({ getStitchedSchemaFromSupergraphSdl }) => {
    const schema = getStitchedSchemaFromSupergraphSdl({ supergraphSdl: sdl });
    return `loads, ${Object.keys(schema.getTypeMap()).length} types`;
  },
});

process.exit(failed ? 1 : 0);
