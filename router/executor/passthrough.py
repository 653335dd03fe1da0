"""Answers that need not be read: one fetch, whose answer already is the client's.

This holds where the subgraph's operation asks for exactly the members of the shape, in the same order and under the
same names, and nothing in between could differ: no abstract type, no enum (the API schema may hide values), no
``__typename`` that the router knows better. What remains to be trusted is that the subgraph keeps to its own schema,
so it is done only for transports whose operator has said so.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from graphql import FieldNode, OperationDefinitionNode, SelectionSetNode, parse

from router.executor.transport import SubgraphRequest
from router.query_plan.nodes import Fetch, QueryPlan, Shape


class RawTransport(Protocol):
    """A transport that can give the body of an answer as it came. ``trusted``: its values need no checking."""

    trusted: bool

    async def execute_raw(self, request: SubgraphRequest) -> bytes | memoryview:
        """Run a query. Raises SubgraphError."""
        ...


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()
    errors: Any = None


_decoder = msgspec.json.Decoder(_Envelope)


def verbatim_fetch(plan: QueryPlan) -> Fetch | None:
    """The plan's only fetch, if its answer is the client's as it stands."""
    node = plan.node
    if plan.kind != "query" or plan.introspection is not None or not isinstance(node, Fetch):
        return None
    if node.entities:
        return None
    operations = parse(node.document, no_location=True).definitions
    if len(operations) != 1 or not isinstance(operations[0], OperationDefinitionNode):
        return None
    return node if _same(operations[0].selection_set, plan.shape) else None


def data_of(body: bytes | memoryview) -> bytes | None:
    """The answer ``{"data": ...}`` made of a body's data; None if it must be read after all."""
    try:
        envelope = _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
    data = bytes(envelope.data)
    if envelope.errors is not None or not data.lstrip().startswith(b"{"):
        return None
    return b'{"data":' + data + b"}"


def _same(selection_set: SelectionSetNode | None, shape: Shape) -> bool:
    if selection_set is None or shape.abstract or len(shape.variants) != 1:
        return False
    fields = shape.variants[0].fields
    if not fields or len(fields) != len(selection_set.selections):
        return False
    for node, field in zip(selection_set.selections, fields, strict=True):
        if not isinstance(node, FieldNode) or field.constant is not None or field.enum_values is not None:
            return False
        name = node.alias.value if node.alias else node.name.value
        if not name == field.key == field.response_name:
            return False
        if field.shape is not None and not _same(node.selection_set, field.shape):
            return False
    return True
