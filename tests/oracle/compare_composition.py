"""Compares composition with Apollo's on the test cases: accepted or refused, error codes, and the supergraph itself.

Run by hand: ``ORACLE_MODULES=/folder/with/node_modules python -m tests.oracle.compare_composition [WORD...] [-v]``.
Differences are printed; the known ones are explained in the case files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphql import parse
from graphql.language import print_ast

from router.composition.compose import SubgraphInput, compose
from tests.router.composition.cases import Case, read_cases

_JOIN = ("join__", "link__", 'schema @link(url: "https://specs.apollo.dev/join/')


def main(words: list[str], verbose: bool) -> int:
    return report_differences([c for c in read_cases() if all(word in str(c) for word in words)], verbose)


def report_differences(cases: list[Case], verbose: bool) -> int:
    """Compose every case both ways and print what differs; 1 if anything did."""
    differences = 0
    for case, apollo in zip(cases, _apollo(cases), strict=True):
        result = compose(case.subgraphs)
        own = sorted({error.code.value for error in result.errors})
        own_hints = sorted({hint.code for hint in result.hints})
        problems = []
        if own != apollo["codes"]:
            problems.append(f"codes: ours {own}, theirs {apollo['codes']}")
        if own_hints != apollo["hints"] and not own:
            problems.append(f"hints: ours {own_hints}, theirs {apollo['hints']}")
        if result.supergraph_sdl and apollo["sdl"]:
            ours, theirs = _facts(result.supergraph_sdl), _facts(apollo["sdl"])
            if "join/v0.5" not in apollo["sdl"]:
                # For old subgraphs they link an older join, whose statements are the same.
                ours, theirs = ({f for f in facts if not f.startswith(_JOIN)} for facts in (ours, theirs))
            problems += [f"only ours:   {fact}" for fact in sorted(ours - theirs)]
            problems += [f"only theirs: {fact}" for fact in sorted(theirs - ours)]
        if problems or verbose:
            print(f"* {case}")
            print("\n".join(f"    {problem}" for problem in problems))
            if verbose or own != apollo["codes"]:
                print("\n".join(f"    their message: {m[:400]}" for m in apollo["messages"]))
                print("\n".join(f"    our message: {e}" for e in result.errors))
        differences += bool(problems)
    print(f"{len(cases)} cases, {differences} differ")
    return 1 if differences else 0


def _apollo(cases: list[Case]) -> list[dict[str, Any]]:
    return compose_elsewhere([case.subgraphs for case in cases])


def compose_elsewhere(cases: Iterable[Iterable[SubgraphInput]]) -> list[dict[str, Any]]:
    """What ``@apollo/composition`` makes of each case's subgraphs."""
    payload = [{"subgraphs": [{"name": s.name, "url": s.url, "sdl": s.sdl} for s in case]} for case in cases]
    script = Path(__file__).with_name("apollo_compose.mjs")
    run = subprocess.run(["node", script], input=json.dumps(payload), capture_output=True, text=True, check=True)
    answer: list[dict[str, Any]] = json.loads(run.stdout)
    return answer


def _facts(sdl: str) -> set[str]:
    """Every statement of a supergraph, one a line, so that order does not matter."""
    facts: set[str] = set()
    for definition in parse(sdl).definitions:
        name = getattr(getattr(definition, "name", None), "name", None) or getattr(definition, "name", None)
        label = name.value if name is not None else "schema"
        if definition.kind == "directive_definition" and label.startswith(("cost", "listSize")):
            continue  # theirs defines both cost directives where one is used
        facts |= {f"{label} is {definition.kind}"}
        if definition.kind == "directive_definition":
            continue
        facts |= {f"{label} {print_ast(d)}" for d in getattr(definition, "directives", None) or ()}
        facts |= {f"{label} implements {i.name.value}" for i in getattr(definition, "interfaces", None) or ()}
        facts |= {f"{label} member {t.name.value}" for t in getattr(definition, "types", None) or ()}
        members = [*(getattr(definition, "fields", None) or ()), *(getattr(definition, "values", None) or ())]
        for member in members:
            where = f"{label}.{member.name.value}"
            facts.add(f"{where}: {print_ast(member.type)}" if hasattr(member, "type") and member.type else where)
            facts |= {f"{where} {print_ast(d)}" for d in member.directives or ()}
            if getattr(member, "default_value", None):
                facts.add(f"{where} = {print_ast(member.default_value)}")
            for argument in getattr(member, "arguments", None) or ():
                facts.add(f"{where}({print_ast(argument)})")
    return facts


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "-v"]
    sys.exit(main(arguments, "-v" in sys.argv))
