"""Runs the conformance cases on supergraphs composed here and by Apollo, and next to ``@apollo/gateway``.

Run by hand: ``ORACLE_MODULES=/folder/with/node_modules python -m tests.oracle.compare_gateway [WORD...]``, with ``-v``
to see every operation.
``--write`` fills in the expected answers that case files lack with those of the unsplit graph.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from router.composition.compose import SubgraphInput
from router.errors import SupergraphError
from tests.oracle.compare_composition import compose_elsewhere
from tests.router.conformance.bench import Asked, Bench, Case, composed, same_answer
from tests.router.conformance.case_files import FOLDER, read_case


def main(words: list[str], verbose: bool, write: bool) -> int:
    """Compare; 1 if anything differs."""
    folder = Path(words.pop()) if words and "/" in words[-1] else FOLDER
    paths = [p for p in sorted(folder.glob("*.case")) if not words or any(word in p.stem for word in words)]
    cases = [read_case(path.read_text(encoding="utf-8")) for path in paths]
    theirs = compose_elsewhere(
        [[SubgraphInput(n, f"http://{n}", sdl) for n, sdl in case.linked().items()] for case in cases]
    )
    wrong = 0
    gateway = _gateway(cases, [answer["sdl"] for answer in theirs])
    for path, case, their, peer in zip(paths, cases, theirs, gateway, strict=True):
        sources = {}
        try:
            sources["composed here"] = composed(case)
        except AssertionError as error:
            print(f"* {path.stem}: does not compose here: {error}")
        if their["sdl"]:
            sources["composed by Apollo"] = their["sdl"]
        else:
            print(f"* {path.stem}: does not compose there: {their['messages']}")
        for number, asked in enumerate(case.asked):
            for where, sdl in sources.items():
                title = f"{path.stem} #{number} {where}"
                if _compare(title, case, sdl, asked, peer[number], verbose):
                    wrong += 1
                    break
        if write:
            _write(path, case)
    print(f"{len(cases)} cases, {sum(len(case.asked) for case in cases)} operations, {wrong} differ")
    return 1 if wrong else 0


def _compare(title: str, case: Case, sdl: str, asked: Asked, peer: dict[str, Any], verbose: bool) -> bool:
    try:
        bench = Bench(case, sdl)
    except SupergraphError as error:
        print(f"* {title}: {error}")
        return True
    unsplit = bench.expected(asked) if not asked.source.startswith("subscription") else None
    wanted = asked.expected if asked.expected is not None else unsplit
    if asked.expected is None:
        asked.expected = wanted
    found = asyncio.run(bench.answer(asked))
    requests = len(bench.log)
    notes = list(dict.fromkeys(bench.problems))
    wrong = bool(notes) or not same_answer(found, wanted)
    if (
        ("data" in peer and isinstance(found, dict) and json.dumps(peer["data"]) != json.dumps(found.get("data")))
        or "thrown" in peer
        or bool(peer.get("errors")) != bool(isinstance(found, dict) and found.get("errors"))
    ):
        notes.append(f"gateway: {json.dumps(peer)[:600]}")
    if requests > peer.get("requests", requests) and not peer.get("errors"):
        notes.append(f"requests: {requests}, gateway {peer['requests']}")
    if asked.requests is not None and requests > asked.requests:
        notes.append(f"requests: {requests}, at most {asked.requests}")
        wrong = True
    if wrong or verbose or (notes and "here" in title):
        print(f"{'*' if wrong else '-'} {title}: {asked.source}")
        print(f"    expected {json.dumps(wanted)}\n    found    {json.dumps(_short(found))}")
        print("\n".join(f"    {note}" for note in notes))
        print("\n".join(f"      {name}: {query} {json.dumps(v)[:300]}" for name, query, v in bench.log))
    return wrong


def _short(found: Any) -> Any:
    return {k: v for k, v in found.items() if k != "extensions"} if isinstance(found, dict) else found


def _write(path: Path, case: Case) -> None:
    parts = path.read_text(encoding="utf-8").split("--- operation\n")
    for number, asked in enumerate(case.asked, 1):
        if "--- expected" not in parts[number]:
            parts[number] = parts[number].rstrip() + f"\n--- expected\n{json.dumps(asked.expected)}\n"
    path.write_text("--- operation\n".join(parts), encoding="utf-8")


def _gateway(cases: list[Case], supergraphs: list[str | None]) -> list[list[dict[str, Any]]]:
    benches = [Bench(case, sdl) if sdl else None for case, sdl in zip(cases, supergraphs, strict=True)]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            _, index, name = self.path.split("/")
            bench = benches[int(index)]
            assert bench is not None
            answer = bench.serve(bench.subgraphs[name], body["query"], body.get("variables") or {})
            sent = {"data": answer.data} | ({"errors": answer.errors} if answer.errors else {})
            raw = json.dumps(sent).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    payload = {
        "base": f"http://127.0.0.1:{server.server_port}",
        "cases": [
            {"supergraph": sdl or "", "operations": [{"source": a.source, "variables": a.variables} for a in c.asked]}
            for c, sdl in zip(cases, supergraphs, strict=True)
        ],
    }
    script = Path(__file__).with_name("apollo_gateway.mjs")
    run = subprocess.run(["node", script], input=json.dumps(payload), capture_output=True, text=True, check=False)
    server.shutdown()
    if run.returncode:
        print(run.stderr[-2000:])
    answers: list[list[dict[str, Any]]] = json.loads(run.stdout)
    return answers


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    sys.exit(main(arguments, "-v" in sys.argv, "--write" in sys.argv))
