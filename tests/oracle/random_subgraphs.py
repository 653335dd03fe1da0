"""Random groups of small subgraphs, some of which compose: cases nobody would think of.

``ORACLE_MODULES=/folder python -m tests.oracle.random_subgraphs [COUNT] [SEED]`` composes them here and with Apollo's
library and prints every difference in codes or in what the supergraph states.
"""

from __future__ import annotations

import sys
from random import Random

from router.composition.compose import SubgraphInput
from tests.oracle.compare_composition import report_differences
from tests.router.composition.cases import Case, link

FIELDS = {"f0": "Int", "f1": "String!", "f2": "T1", "f3": "[T2!]", "f4": "I", "f5": "U", "f6": "E", "f7": "V"}
LOOSER = {"String!": "String", "[T2!]": "[T2]", "Int": "Int!"}


def random_case(seed: int) -> Case:
    """Two or three subgraphs over one small vocabulary."""
    random = Random(seed)
    names = ["a", "b", "c"][: random.randint(2, 3)]
    tidy = 1.0 if random.random() < 0.7 else random.random()  # how often subgraphs say what they should
    case = Case("random", str(seed))
    for name in names:
        version_1 = random.random() < 0.12
        sdl = "\n".join(_subgraph(random, name, names, tidy, version_1))
        case.subgraphs.append(SubgraphInput(name, f"http://{name}", sdl if version_1 else link() + sdl))
    return case


def _subgraph(random: Random, name: str, names: list[str], tidy: float, version_1: bool) -> list[str]:
    objects = [t for t in ("T0", "T1", "T2") if random.random() < 0.75 + (name == "a")] or ["T0"]
    implementing = [t for t in objects if random.random() < 0.4]
    members = [t for t in objects if random.random() < 0.5]
    known = {*objects, "Int", "String", "ID", "E", "V"}
    known |= {"I"} if implementing else set()
    known |= {"U"} if members else set()
    lines = [_object(random, t, t in implementing, known, names, name, tidy, version_1) for t in objects]
    if implementing:
        extra = " f0: Int" if random.random() < 0.15 * (1.05 - tidy) else ""
        lines.append(f"interface I {{ id: ID!{extra} }}")
    if members:
        lines.append(f"union U = {' | '.join(members)}")
    lines.append(f"enum E {{ A B{' C' if random.random() < 0.1 * (1.2 - tidy) else ''} }}")
    share = "" if version_1 else " @shareable"
    lines.append(f"type V{share} {{ v: Int{' w: Int' if random.random() < 0.1 * (1.2 - tidy) else ''} }}")
    roots = [f"{name}_{t.lower()}: {t}" for t in objects if random.random() < 0.6] or [f"{name}_x: Int"]
    if random.random() < 0.3:
        share = " @shareable" if not version_1 and random.random() < 0.5 + tidy else ""
        roots.append(f"both: {random.choice(objects)}{share}")
    if random.random() < 0.3:
        roots.append(f"{name}_e(e: E): Int")
    return [*lines, f"type Query {{ {' '.join(roots)} }}"]


def _object(
    random: Random, t: str, implements: bool, known: set[str], names: list[str], name: str, tidy: float, version_1: bool
) -> str:
    keys = [k for k in ("id", "k", "id k") if random.random() < (0.97 if k == "id" else 0.2)]
    fields = {part: f"{part}: ID!" for key in keys for part in key.split()}
    if implements:
        fields.setdefault("id", "id: ID!" if version_1 else "id: ID! @shareable")
    for field, type_ in FIELDS.items():
        owned = tidy == 1.0 and name == "a" and field in ("f0", "f1", "f7")
        if (owned or random.random() < 0.35) and type_.strip("[]!") in known:
            fields[field] = f"{field}: {_type(random, type_)}{_directives(random, field, names, name, tidy, version_1)}"
    for _ in range(random.randint(0, 1)):
        required = random.choice(["f0", "f1", "k", "f7 { v }"])
        base = required.split()[0]
        type_ = FIELDS.get(base, "ID!")
        if tidy == 1.0 and (base in fields or base == "k" or name == "a"):
            continue
        if base not in fields or random.random() > tidy:
            fields.setdefault(base, f"{base}: {type_} @external")
        fields[f"r_{name}"] = f'r_{name}: Int @requires(fields: "{required}")'
    if not fields:
        fields["id"] = "id: ID!"
    extends = "extend " if random.random() < (0.4 if version_1 else 0.08) * (1.2 - tidy) else ""
    resolvable = ", resolvable: false" if not version_1 and random.random() < 0.08 else ""
    applied = " ".join(f'@key(fields: "{key}"{resolvable})' for key in keys)
    interface = " implements I" if implements else ""
    return f"{extends}type {t}{interface} {applied} {{ {' '.join(fields.values())} }}"


def _type(random: Random, type_: str) -> str:
    return LOOSER.get(type_, type_) if random.random() < 0.05 else type_


def _directives(random: Random, field: str, names: list[str], name: str, tidy: float, version_1: bool) -> str:
    if version_1:
        return " @external" if random.random() < 0.15 else ""
    others = [other for other in names if other != name]
    roll = random.random()
    if roll < 0.08:
        return f' @override(from: "{random.choice(others)}") @shareable'
    if roll < 0.08 + 0.1 * (1.05 - tidy):
        return " @external"
    if roll < 0.15:
        return " @inaccessible @shareable"
    if field in ("f2", "f3") and roll < 0.25 and tidy < 1:
        return ' @provides(fields: "f0") @shareable'
    return " @shareable" if random.random() < 0.4 + tidy * 0.65 else ""


if __name__ == "__main__":
    count, first = (int(a) for a in (*sys.argv[1:], *("200", "0")[len(sys.argv) - 1 :]))
    sys.exit(report_differences([random_case(seed) for seed in range(first, first + count)], verbose=False))
