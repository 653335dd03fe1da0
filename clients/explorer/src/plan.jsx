// The panel that draws how the last answer came about: a column a round, a box a request, a bar for its time.
import { useSyncExternalStore } from "react";
import { lastPlan, onPlan } from "./fetcher.js";
import "./plan.css";

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
const milliseconds = (value) => `${value.toFixed(1)} ms`;

function byRound(requests) {
  const rounds = new Map();
  for (const request of requests) rounds.set(request.round, [...(rounds.get(request.round) ?? []), request]);
  return [...rounds].sort(([a], [b]) => a - b);
}

function Request({ request, slowest }) {
  const { fetch, subgraph, ms, representations } = request;
  return (
    <li className="plan-request" data-subgraph={subgraph}>
      <strong>{subgraph}</strong> <small>fetch {fetch}</small>
      <div className="plan-bar" style={{ width: `${Math.max(2, (100 * ms) / slowest)}%` }} />
      <small>
        {milliseconds(ms)}
        {representations > 0 && `, ${count(representations, "entity", "entities")}`}
      </small>
    </li>
  );
}

function Plan() {
  const plan = useSyncExternalStore(onPlan, lastPlan);
  if (plan === null) return <p className="plan">Run an operation, and this shows which subgraphs answered it.</p>;
  const slowest = Math.max(...plan.requests.map(({ ms }) => ms), 0.001);
  return (
    <section className="plan">
      <h2>Query plan</h2>
      <p className="plan-sum">
        {count(plan.fetches, "fetch", "fetches")}, {count(plan.rounds, "round", "rounds")},{" "}
        {count(plan.subgraphs.length, "subgraph", "subgraphs")}
      </p>
      <ol className="plan-rounds">
        {byRound(plan.requests).map(([round, requests]) => (
          <li key={round} className="plan-round">
            <h3>Round {round}</h3>
            <ul>
              {requests.map((request, index) => (
                <Request key={index} request={request} slowest={slowest} />
              ))}
            </ul>
          </li>
        ))}
      </ol>
      <details>
        <summary>Text</summary>
        <pre>{plan.text}</pre>
      </details>
    </section>
  );
}

const Icon = () => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" height="1em" width="1em">
    <path d="M6 5v14M6 12h12M18 7v10" />
    <circle cx="6" cy="5" r="2" />
    <circle cx="6" cy="19" r="2" />
    <circle cx="18" cy="12" r="2" />
  </svg>
);

export const planPlugin = { title: "Query plan", icon: Icon, content: Plan };
