"""Subgraphs that answer nonsense: the router's answer stays one that its schema allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.router.pipeline.client import post
from tests.router.pipeline.subgraphs import router, subgraphs, supergraph

QUERY = """{
  me { id name reviews { body stars } }
  actors { __typename id ... on User { reviews { stars } } }
  products { upc name price size freight maker { id name } reviews { stars body author { id name } } }
  latest { author { name } }
}"""
SCHEMA = api_schema(load_supergraph(supergraph(subgraphs())))

nonsense = st.recursive(
    st.sampled_from([None, True, 0, -1.5, 2**40, "", "x", "User", "HIDDEN"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "__typename", "name", "upc", "reviews", "_entities"]), inner)
    ),
    max_leaves=5,
)
error_lists = st.lists(
    st.one_of(
        nonsense,
        st.fixed_dictionaries(
            {},
            optional={
                "message": nonsense,
                "path": st.lists(st.sampled_from(["_entities", "me", "products", 0, 1, 99, -1, None]), max_size=4),
                "extensions": nonsense,
            },
        ),
    ),
    max_size=3,
)


class Mutations:
    """Replaces, with what hypothesis draws, some places of an answer."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self._draw = draw

    def data(self, value: Any, left: int = 3) -> Any:
        if left == 0 or self._draw(st.integers(0, 5)) == 0:
            return self._draw(nonsense)
        if isinstance(value, dict) and value:
            name = self._draw(st.sampled_from(sorted(value)))
            return {**value, name: self.data(value[name], left - 1)}
        if isinstance(value, list) and value:
            index = self._draw(st.integers(0, len(value) - 1))
            return [*value[:index], self.data(value[index], left - 1), *value[index + 1 :]]
        return self._draw(nonsense)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
async def test_mutated_answers_never_break_the_answer(source: st.DataObject) -> None:
    """Lists for objects, numbers for text, missing and foreign members, wild errors: 200, and conforming data."""
    served = subgraphs()
    app = router(served)
    mutations = Mutations(source.draw)
    for name, subgraph in served.items():

        async def execute(request: SubgraphRequest, own: Any = subgraph) -> SubgraphResponse:
            response = await own.execute(request)
            if source.draw(st.booleans()):
                return SubgraphResponse(response.data, response.errors)
            return SubgraphResponse(mutations.data(response.data), source.draw(st.none() | error_lists))

        app._subgraphs._given[name] = InProcessTransport(execute)
    await app.reload(app.supergraph_sdl)
    response = await post(app, QUERY)
    assert response.status == 200
    answer = response.json
    assert set(answer) <= {"data", "errors"}
    if answer["data"] is None:
        assert answer["errors"]
    else:
        assert SCHEMA.query_type is not None
        _conforms(SCHEMA, SCHEMA.query_type, answer["data"])
    for error in answer.get("errors", ()):
        assert isinstance(error["message"], str)
        assert all(isinstance(step, str | int) for step in error.get("path", ()))
    await app.close()


def _conforms(schema: GraphQLSchema, type_: Any, value: Any) -> None:
    if isinstance(type_, GraphQLNonNull):
        assert value is not None
        _conforms(schema, type_.of_type, value)
    elif value is None:
        return
    elif isinstance(type_, GraphQLList):
        assert isinstance(value, list)
        for item in value:
            _conforms(schema, type_.of_type, item)
    elif isinstance(type_, GraphQLObjectType):
        for name, member in value.items():
            if name in type_.fields:
                _conforms(schema, type_.fields[name].type, member)
    elif isinstance(type_, GraphQLEnumType):
        assert value in type_.values
    elif get_named_type(type_).name in ("String", "ID"):
        assert isinstance(value, str)
