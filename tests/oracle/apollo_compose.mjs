// Composes cases with @apollo/composition, found in the folder named by ORACLE_MODULES (npm install it there).
// Input on stdin: [{subgraphs: [{name, url, sdl}]}]; output: [{codes, hints, messages, sdl}].
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.ORACLE_MODULES}/package.json`);
const { composeServices } = require('@apollo/composition');
const { parse } = require('graphql');

function compose({ subgraphs }) {
  try {
    const services = subgraphs.map(({ name, url, sdl }) => ({ name, url, typeDefs: parse(sdl) }));
    const { errors = [], hints = [], supergraphSdl } = composeServices(services);
    return {
      codes: [...new Set(errors.map((error) => error.extensions?.code ?? 'NONE'))].sort(),
      hints: [...new Set(hints.map((hint) => hint.definition.code))].sort(),
      messages: errors.map((error) => error.message),
      sdl: supergraphSdl ?? null,
    };
  } catch (error) {
    return { codes: [`THROWN ${error.message}`], hints: [], messages: [], sdl: null };
  }
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(compose)));
