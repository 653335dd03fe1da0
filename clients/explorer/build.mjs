// Bundles the explorer into dist/: nothing is fetched from anywhere but the router when it runs.
import { build } from "esbuild";
import { cp, mkdir, rm } from "node:fs/promises";

await rm("dist", { recursive: true, force: true });
await mkdir("dist");
const shared = {
  bundle: true,
  minify: true,
  outdir: "dist",
  loader: { ".ttf": "dataurl" },
  define: { "process.env.NODE_ENV": '"production"' },
};
await build({ ...shared, entryPoints: { explorer: "src/main.jsx" }, format: "esm", jsx: "automatic" });
await build({
  ...shared,
  format: "iife",
  entryPoints: {
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
  },
});
await cp("src/index.html", "dist/index.html");
