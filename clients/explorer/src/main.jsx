// GraphiQL over the router's own endpoint, with the router's examples as first tabs and its query plans beside.
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import "graphiql/style.css";
import { createRoot } from "react-dom/client";
import { fetcher } from "./fetcher.js";
import { planPlugin } from "./plan.jsx";

globalThis.MonacoEnvironment = {
  getWorker: (_, label) => {
    const name = ["graphql", "json"].includes(label) ? label : "editor";
    return new Worker(`/explorer/${name}.worker.js`);
  },
};

const shown = (members) => (Object.keys(members).length > 0 ? JSON.stringify(members, null, 2) : null);

async function examples() {
  const found = await (await fetch("/explorer/examples.json")).json();
  return found.map(({ query, variables, headers }) => ({ query, variables: shown(variables), headers: shown(headers) }));
}

const tabs = await examples();
// GraphiQL takes the first tab's query from the tabs, but not what belongs to it; a visitor's own tabs come first.
const first = localStorage.getItem("graphiql:tabState") === null ? tabs[0] : undefined;
createRoot(document.getElementById("explorer")).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={[HISTORY_PLUGIN, planPlugin]}
    visiblePlugin={planPlugin.title}
    defaultTabs={tabs.length > 0 ? tabs : undefined}
    initialVariables={first?.variables ?? undefined}
    initialHeaders={first?.headers ?? undefined}
    defaultEditorToolsVisibility="variables"
  />,
);
