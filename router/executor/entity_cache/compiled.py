"""Which parts of a fetch may be kept, and under which keys: decided once a plan.

The unit of an entity fetch is one representation of one ``_entities`` field; of a root fetch it is the whole answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import orjson
from graphql import (
    FieldNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    parse,
    print_ast,
    visit,
)
from graphql.language import Visitor

from router.executor.entity_cache.formats import Format, formats_of_entity, formats_of_root
from router.executor.entity_cache.hints import Hints, read_hints
from router.executor.entity_cache.naming import Naming
from router.executor.entity_cache.policy import NOT_KEPT, Policies, Policy
from router.executor.entity_cache.tags import Spot, spot_of
from router.query_plan.nodes import EntityFetch, Fetch
from router.supergraph.model import Supergraph

KEY_BYTES = 20


@dataclass(frozen=True, slots=True)
class TypePart:
    """What an ``_entities`` field brings for representations of one type. ``formats``: of its cache tags."""

    policy: Policy
    spot: Spot
    formats: tuple[Format, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One ``_entities`` field (``alias``), or the whole root selection (no alias)."""

    alias: str
    variable: str
    text: bytes
    variables: tuple[str, ...]
    types: Mapping[str, TypePart]


@dataclass(frozen=True, slots=True)
class KeptFetch:
    """A fetch of which something may be kept. ``document``: its own, with the ids of what is in the answer."""

    fetch: Fetch
    document: str
    parts: tuple[Part, ...]
    root: TypePart | None


class Caching:
    """What a supergraph's hints allow to be kept, at most ``longest`` seconds."""

    def __init__(self, supergraph: Supergraph, longest: int) -> None:
        graphs = {subgraph.graph: subgraph.name for subgraph in supergraph.subgraphs.values()}
        self._supergraph = supergraph
        self._hints: Hints = read_hints(supergraph.document, graphs)
        self._policies = Policies(supergraph, self._hints, longest)
        text = print_ast(supergraph.document)
        self._schema = blake2b(text.encode(), digest_size=KEY_BYTES).digest()

    def of(self, fetch: Fetch) -> KeptFetch | None:
        """How to keep a query's fetch; None: nothing of it may be kept."""
        if not self._hints.exist or fetch.kind != "query" or fetch.path:
            return None
        operation = parse(fetch.document, no_location=True).definitions[0]
        if not isinstance(operation, OperationDefinitionNode):
            return None
        root_type = self._supergraph.root_types.get("query", "Query")
        operation = Naming(self._supergraph, fetch.subgraph).of(operation, root_type)
        if fetch.entities:
            parts = tuple(self._entity_part(fetch, entities, operation) for entities in fetch.entities)
            kept = any(part.types for part in parts)
            return KeptFetch(fetch, print_ast(operation), parts, None) if kept else None
        policy = self._policies.of_root(root_type, operation.selection_set)
        if policy.max_age <= 0:
            return None
        spot = spot_of(self._supergraph, root_type, operation.selection_set)
        part = Part("", "", self._text(fetch, operation, operation.selection_set), fetch.variables, {})
        formats = formats_of_root(self._hints, fetch.subgraph, root_type, operation.selection_set)
        return KeptFetch(fetch, print_ast(operation), (part,), TypePart(policy, spot, formats))

    def _entity_part(self, fetch: Fetch, entities: EntityFetch, operation: OperationDefinitionNode) -> Part:
        selections = next(
            field.selection_set
            for field in operation.selection_set.selections
            if isinstance(field, FieldNode)
            and (field.alias.value if field.alias else field.name.value) == entities.alias
            and field.selection_set is not None
        )
        names = {
            typename
            for selection in entities.representations
            for typename in ([selection.typename] if selection.typename else selection.types or ())
        }
        types = {}
        for name in sorted(names):
            policy = self._policies.of_entity(name, selections)
            if policy is not NOT_KEPT and policy.max_age > 0:
                formats = formats_of_entity(self._hints, fetch.subgraph, name)
                types[name] = TypePart(policy, spot_of(self._supergraph, name, selections), formats)
        used = _variables(selections)
        used.discard(entities.variable)
        return Part(
            entities.alias, entities.variable, self._text(fetch, operation, selections), tuple(sorted(used)), types
        )

    def _text(self, fetch: Fetch, operation: OperationDefinitionNode, selections: SelectionSetNode) -> bytes:
        """Everything of the fetch itself that can change what is answered: variables' defaults too."""
        used = _variables(selections)
        definitions = [print_ast(d) for d in operation.variable_definitions or () if d.variable.name.value in used]
        whole = orjson.dumps([fetch.subgraph, definitions, print_ast(selections)])
        return blake2b(self._schema + whole, digest_size=KEY_BYTES).digest()


def _variables(selections: SelectionSetNode) -> set[str]:
    found: set[str] = set()

    class Collect(Visitor):
        def enter_variable(self, node: VariableNode, *_: object) -> None:
            found.add(node.name.value)

    visit(selections, Collect())
    return found
