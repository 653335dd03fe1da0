"""A request's path, query, headers and body become an operation's variables, or a problem that says every place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson
from graphql import GraphQLList, GraphQLNonNull, get_nullable_type
from jsonschema_rs import Draft202012Validator

from router.pipeline.rest.json_schema import Schema, Schemas
from router.pipeline.rest.model import Argument, Call, Endpoint
from router.pipeline.rest.openapi import body_schema
from router.pipeline.rest.paths import parameters
from router.pipeline.rest.problems import Problem

MAX_REASONS = 10
MAX_PARAMETERS = 50
WHOLE = re.compile(r"-?\d{1,18}")
NUMBER = re.compile(r"-?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?")

Reasons = list[dict[str, Any]]


class Reader:
    """Reads the requests of one endpoint."""

    def __init__(self, endpoint: Endpoint, schemas: Schemas) -> None:
        self._calls = endpoint.calls
        self._path = parameters(endpoint.path)
        self._texts = [_Text(one, schemas) for one in endpoint.calls[0].of("path", "query", "header")]
        self._bodies = {call.operation.id: _validator(body_schema(call, schemas), schemas) for call in self._calls}

    @property
    def takes_body(self) -> bool:
        return any(call.has_body for call in self._calls)

    def read(
        self, segments: Sequence[str], query: bytes, headers: Mapping[str, str], body: bytes
    ) -> tuple[Call, dict[str, Any]]:
        """The operation to run and its variables. Raises Problem (400)."""
        reasons: Reasons = []
        texts: dict[str, list[str]] = {
            f"path {name}": [value] for name, value in zip(self._path, segments, strict=True)
        }
        for name, value in _query(query):
            texts.setdefault(f"query {name}", []).append(value)
        reasons += [
            {"in": "query", "name": name, "detail": "There is no such parameter."}
            for name in sorted({key[6:] for key in texts if key.startswith("query ")} - self._names("query"))
        ]
        texts |= {
            f"header {name}": [headers[name.lower()]] for name in self._names("header") if name.lower() in headers
        }
        given = {text.argument: value for text in self._texts if (value := text.read(texts, reasons)) is not None}
        call, properties = self._body(body, reasons)
        if reasons:
            raise Problem(400, "BAD_USER_INPUT", "The request does not fit what this takes.", reasons[:MAX_REASONS])
        values: dict[tuple[str, str], Any] = {(one.place, one.name): value for one, value in given.items()}
        values |= {("body", name): value for name, value in properties.items()}
        return call, _variables(call, values)

    def _names(self, place: str) -> set[str]:
        return {text.argument.name for text in self._texts if text.argument.place == place}

    def _body(self, body: bytes, reasons: Reasons) -> tuple[Call, dict[str, Any]]:
        if not self.takes_body:
            return self._calls[0], {}
        try:
            value = orjson.loads(body) if body else {}
        except orjson.JSONDecodeError:
            raise Problem(400, "BAD_REQUEST", "The body is not JSON.") from None
        call = self._call(value)
        reasons += _reasons(self._bodies[call.operation.id], value, _in_body)
        return call, value if isinstance(value, dict) else {}

    def _call(self, value: Any) -> Call:
        if len(self._calls) == 1:
            return self._calls[0]
        for call in self._calls:
            if isinstance(value, dict) and call.required_properties <= set(value):
                return call
        choices = " or ".join(", ".join(sorted(call.required_properties)) for call in self._calls)
        raise Problem(400, "BAD_USER_INPUT", f"The body must be an object with {choices}.")


class _Text:
    """Reads one argument that comes as text."""

    def __init__(self, argument: Argument, schemas: Schemas) -> None:
        self.argument = argument
        type_: Any = get_nullable_type(argument.type)
        self._list = isinstance(type_, GraphQLList)
        inner: Any = get_nullable_type(type_.of_type) if self._list else type_
        self._convert = CONVERT.get(inner.name, str)
        self._validator = _validator(schemas.input(GraphQLNonNull(type_)), schemas)

    def read(self, texts: Mapping[str, list[str]], reasons: Reasons) -> Any:
        """The value, None where it is not given or, with a reason, is not as it must be."""
        place, name = self.argument.place, self.argument.name
        found = texts.get(f"{place} {name}")
        if found is None:
            if self.argument.required:
                reasons.append({"in": place, "name": name, "detail": "It is required."})
            return None
        if not self._list and len(found) > 1:
            reasons.append({"in": place, "name": name, "detail": "It is given more than once."})
            return None
        value = [self._convert(one) for one in found] if self._list else self._convert(found[0])
        wrong = _reasons(self._validator, value, lambda _: {"in": place, "name": name})
        reasons += wrong
        return None if wrong else value


def _whole(text: str) -> Any:
    return int(text) if WHOLE.fullmatch(text) else text


def _number(text: str) -> Any:
    return float(text) if NUMBER.fullmatch(text) else text


def _truth(text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)


CONVERT: Mapping[str, Callable[[str], Any]] = {"Int": _whole, "Float": _number, "Boolean": _truth}
"""What is no number stays text, which the schema then refuses."""


def _query(query: bytes) -> list[tuple[str, str]]:
    try:
        text = query.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Problem(400, "BAD_REQUEST", "The URL's parameters cannot be read.") from None


def _variables(call: Call, values: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    variables = {one.variable: values[one.place, one.name] for one in call.arguments if (one.place, one.name) in values}
    if call.remainder is not None:
        named = {one.name for one in call.of("body")}
        rest = {name: value for (place, name), value in values.items() if place == "body" and name not in named}
        if rest or call.remainder.required:
            variables[call.remainder.variable] = rest
    return variables


def _validator(schema: Schema, schemas: Schemas) -> Draft202012Validator:
    # Values are not repeated in what is said of them: they may be passwords.
    return Draft202012Validator({**schema, "components": {"schemas": schemas.components}}, mask="the value")


def _in_body(path: Iterable[str | int]) -> dict[str, Any]:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return {"in": "body", "pointer": "".join(f"/{step}" for step in steps)}


def _reasons(
    validator: Draft202012Validator, value: Any, where: Callable[[Iterable[str | int]], dict[str, Any]]
) -> Reasons:
    try:
        return [
            {**where(error.instance_path), "detail": error.message[:300]}
            for error, _ in zip(validator.iter_errors(value), range(MAX_REASONS), strict=False)
        ]
    except ValueError:
        return [{**where(()), "detail": "It is nested too deeply."}]
