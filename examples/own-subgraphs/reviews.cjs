// Reviews, in JavaScript with graphql-js and nothing else: `node reviews.cjs 4202`. A federation library would write
// the _service and _entities fields; they are written out here to show that there is nothing to them.
const http = require('node:http');
const { buildSchema, graphql } = require('graphql');

const sdl = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])
  type Product @key(fields: "id") { id: ID! reviews: [Review!]! }
  type Review { stars: Int! text: String! }
  type Query { latestReview: Review }
`;

const reviews = [
  { product: '1', stars: 5, text: 'Pours without a drop.' },
  { product: '1', stars: 3, text: 'Heavy.' },
  { product: '2', stars: 4, text: 'Keeps warm.' },
];

// graphql-js need not know federation's directives: they are for composition.
const plain = sdl.replace(/extend schema .*/, '').replace(/@key\([^)]*\)/g, '');
const schema = buildSchema(`${plain}
  scalar _Any
  union _Entity = Product
  type _Service { sdl: String! }
  extend type Query { _service: _Service! _entities(representations: [_Any!]!): [_Entity]! }
`);

const root = {
  latestReview: reviews.at(-1),
  _service: { sdl },
  _entities: ({ representations }) =>
    representations.map(({ __typename, id }) => ({
      __typename,
      id,
      reviews: reviews.filter((review) => review.product === id),
    })),
};

http
  .createServer(async (request, response) => {
    try {
      let body = '';
      for await (const part of request) body += part;
      const { query, variables } = JSON.parse(body);
      const answer = await graphql({ schema, source: query, rootValue: root, variableValues: variables });
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    } catch (error) {
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ message: `no GraphQL request: ${error.message}` }] }));
    }
  })
  .listen(Number(process.argv[2]), '127.0.0.1');
