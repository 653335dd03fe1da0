"""How long composition takes on a large generated graph: ``python -m benchmarks.compose [TYPES] [SUBGRAPHS]``."""

from __future__ import annotations

import sys
from time import perf_counter

from router.composition.compose import SubgraphInput, compose

LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9",'
    ' import: ["@key", "@shareable", "@external", "@requires", "@provides", "@tag"])'
)


def subgraphs(types: int, count: int) -> list[SubgraphInput]:
    """A graph whose entities are spread over all subgraphs, with values, requirements and references among them."""
    sources = [[LINK] for _ in range(count)]
    queries: list[list[str]] = [[] for _ in range(count)]
    for index in range(types):
        home, other = index % count, (index + 1) % count
        following = (index + count * 13) % types  # of the same subgraph, unless it wraps around
        reference = f" next: T{following}" if following % count == home else ""
        queries[home].append(f"t{index}(id: ID!): T{index}")
        sources[home].append(
            f'type T{index} @key(fields: "id") {{ id: ID! name: String! @tag(name: "x") value: V{reference} }}'
        )
        sources[other].append(
            f'type T{index} @key(fields: "id") {{ id: ID! name: String! @external'
            ' full(first: Int = 10): [String!]! @requires(fields: "name") kind: K }'
        )
    for source, query in zip(sources, queries, strict=True):
        source += ["type V @shareable { amount: Int unit: String }", "enum K { A B C }"]
        source.append(f"type Query {{ {' '.join(query)} }}")
    return [SubgraphInput(f"s{i}", f"http://s{i}", "\n".join(source)) for i, source in enumerate(sources)]


def main(types: int, count: int) -> None:
    """Compose once and print what it took."""
    inputs = subgraphs(types, count)
    start = perf_counter()
    result = compose(inputs)
    seconds = perf_counter() - start
    for error in result.errors[:5]:
        print(error)
    size = len(result.supergraph_sdl or "")
    print(f"{types} entity types in {count} subgraphs: {seconds:.2f} s, {size / 1e6:.1f} MB of supergraph")


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:], *("3000", "10")[len(sys.argv) - 1 :])))
