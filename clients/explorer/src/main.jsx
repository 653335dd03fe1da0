// GraphiQL over the router's own endpoint. Answers show what they cost in sub-requests, under extensions.plan.
import { GraphiQL } from "graphiql";
import "graphiql/style.css";
import { createRoot } from "react-dom/client";

globalThis.MonacoEnvironment = {
  getWorker: (_, label) => {
    const name = ["graphql", "json"].includes(label) ? label : "editor";
    return new Worker(`/explorer/${name}.worker.js`);
  },
};

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (pending + value).split("\n\n");
    pending = parts.pop();
    for (const part of parts) {
      if (part.startsWith("event: next\ndata: ")) yield JSON.parse(part.slice("event: next\ndata: ".length));
    }
  }
}

async function fetcher(request, options = {}) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9, text/event-stream;q=0.5",
      "router-plan": "1",
      ...options.headers,
    },
    body: JSON.stringify(request),
  });
  return response.headers.get("content-type").startsWith("text/event-stream") ? events(response) : response.json();
}

createRoot(document.getElementById("explorer")).render(<GraphiQL fetcher={fetcher} />);
