"""Passing an answer through: only where it is the client's own, and only if it has no errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from router.executor.execute import CompiledPlan
from router.executor.passthrough import data_of, verbatim_fetch
from router.executor.run import ExecutionContext
from router.executor.transport import SubgraphRequest, SubgraphResponse
from router.query_plan.nodes import Fetch, QueryPlan, Shape, ShapeField
from tests.router.executor.support import PLAN, field, shape

USER = shape("User", field("id", "ID!"), field("n", "String"))
ROOT = shape("Query", field("me", "User", USER), field("all", "[User!]", USER))
FETCH = Fetch(0, "a", "query", "{ me { id n: name } all { id n: name } }")
VERBATIM = QueryPlan("query", FETCH, ROOT)


def with_member(member: ShapeField) -> Shape:
    return shape("Query", field("me", "User", shape("User", field("id", "ID!"), member)), ROOT.variants[0].fields[1])


def test_the_same_members_in_the_same_order_are_verbatim() -> None:
    """The operation and the shape say the same."""
    assert verbatim_fetch(VERBATIM) is FETCH


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        replace(VERBATIM, kind="mutation"),
        replace(VERBATIM, introspection="{__schema{queryType{name}}}"),
        replace(VERBATIM, node=replace(FETCH, document="{ all { id n: name } me { id n: name } }")),
        replace(VERBATIM, node=replace(FETCH, document="{ me { id n: name x } all { id n: name } }")),
        replace(VERBATIM, node=replace(FETCH, document="{ me { id ... { n: name } } all { id n: name } }")),
        replace(VERBATIM, shape=with_member(ShapeField("n", "n_1", "String"))),
        replace(VERBATIM, shape=with_member(ShapeField("n", "n", "E", enum_values=frozenset("A")))),
        replace(VERBATIM, shape=with_member(ShapeField("n", "n", "String!", constant="User"))),
        replace(VERBATIM, shape=Shape(True, ROOT.variants)),
    ],
)
def test_whatever_could_differ_is_not_verbatim(plan: QueryPlan) -> None:
    """Order, extra members, fragments, internal names, enums, constants, abstract types."""
    assert verbatim_fetch(plan) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"data":null}', b'{"data":[]}', b'{"data":{},"errors":[{}]}', b'{"data":{}'],
)
def test_bodies_that_must_be_read(body: bytes) -> None:
    """Errors, no data, no JSON: not passed through."""
    assert data_of(body) is None


class Raw:
    """A transport that counts which way it was called."""

    def __init__(self, body: bytes, trusted: bool) -> None:
        self.body = body
        self.trusted = trusted
        self.calls: list[str] = []

    async def execute_raw(self, request: SubgraphRequest) -> bytes:
        self.calls.append("raw")
        return self.body

    async def execute(self, request: SubgraphRequest) -> SubgraphResponse:
        self.calls.append("parsed")
        answer = orjson.loads(self.body)
        return SubgraphResponse(answer["data"], answer.get("errors"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":{"me":{"id":"1","n":"A"},"all":[{"id":"2","n":null}]},"extensions":{"x":1}}',
        b'{"data":{"me":null,"all":null}}',
        b'{"errors":[{"message":"m","path":["me"]}],"data":{"me":null,"all":[]}}',
        b'{"data":null,"errors":[{"message":"m"}]}',
    ],
)
async def test_both_ways_answer_the_same(body: bytes) -> None:
    """A trusted transport is asked for bytes, another one for a response; clients cannot tell."""
    answers: list[Any] = []
    for trusted, way in ((True, "raw"), (False, "parsed")):
        transport = Raw(body, trusted)
        compiled = CompiledPlan(VERBATIM)
        answers.append(await compiled.execute({}, {"a": transport}, ExecutionContext()))  # type: ignore[dict-item]
        assert transport.calls == [way]
    assert answers[0] == answers[1]
