// Sends operations to the router that served this page, and tells listeners which plan answered.
let plan = null;
const listeners = new Set();

/** The plan of the last answer that had one; for useSyncExternalStore. */
export const lastPlan = () => plan;

export function onPlan(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function noted(answer) {
  if (answer.extensions?.plan) {
    plan = answer.extensions.plan;
    listeners.forEach((listener) => listener());
  }
  return answer;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (pending + value).split("\n\n");
    pending = parts.pop();
    for (const part of parts) {
      if (part.startsWith("event: next\ndata: ")) yield noted(JSON.parse(part.slice("event: next\ndata: ".length)));
    }
  }
}

/** GraphiQL learns a moment late which operation a tab holds: a name from the tab before is not meant. */
function meant({ operationName, ...request }) {
  const known = operationName && new RegExp(`\\b${operationName}\\b`).test(request.query);
  return known ? { ...request, operationName } : request;
}

export async function fetcher(request, options = {}) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9, text/event-stream;q=0.5",
      // GraphiQL's own question about the schema is nobody's plan.
      ...(request.operationName === "IntrospectionQuery" ? {} : { "router-plan": "1" }),
      ...options.headers,
    },
    body: JSON.stringify(meant(request)),
  });
  if (response.headers.get("content-type").startsWith("text/event-stream")) return events(response);
  return noted(await response.json());
}
