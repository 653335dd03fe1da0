"""One hostile value at a time, in every argument of every field, while all others mean something; and every field
several times at once.

Random search takes long to meet the one value that a database, a date or a parser cannot take; this goes through them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

import aiohttp
import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLUnionType,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from tests.dure.fuzz_hostile import DATES, LARGE, NUMBERS, TEXTS, TIMES, server_error
from tests.dure.fuzz_values import KEYS, learn, sensible

AT_ONCE = 4
LONG_LIST = 1_500
HOSTILE: dict[str, Sequence[Any]] = {
    "String": TEXTS,
    "ID": ("", "x" * 5_000, "\x00", "UHJvZHVjdDowMUFSWjNOREVLVFNWNFJSRkZRNjlHNUZBAA", -1),
    "Int": (0, -1, LARGE, -LARGE - 1, 1_000_000),
    "Decimal": (*NUMBERS, 10**15, 10**18, -1, 1e300, 0.1),
    "Date": DATES,
    "DateTime": TIMES,
}
ENDING = ("accountDelete", "sessionRevoke", "sessionsRevokeAll")
"""After these the caller is nobody."""


async def each_in_turn(url: str, token: str | None, known: list[str], seed: int = 7) -> list[str]:
    """Go through all fields; what the server failed at."""
    learn(known)
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as session:
        asking = _Asking(session)
        schema = await asking.schema()
        for kind, root in (("query", schema.query_type), ("mutation", schema.mutation_type)):
            for name, field in root.fields.items() if root is not None else ():
                if name not in ENDING:
                    await asking.go_through(kind, name, field, Random(seed))
    return asking.failures


class _Asking:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._places = asyncio.Semaphore(AT_ONCE)
        self.failures: list[str] = []

    async def schema(self) -> GraphQLSchema:
        async with self._session.post("/graphql", json={"query": get_introspection_query()}) as response:
            return build_client_schema((await response.json())["data"])

    async def go_through(self, kind: str, name: str, field: GraphQLField, random: Random) -> None:
        declared = ", ".join(f"${one}: {argument.type}" for one, argument in field.args.items())
        passed = ", ".join(f"{one}: ${one}" for one in field.args)
        call = f"{name}({passed})" if passed else name
        document = f"{kind} {f'({declared})' if declared else ''} {{ {call} {_selection(field.type)} }}"
        usual = _usual(name, field, random)
        await self._send(document, usual, f"{name}: what is usual")
        beside = [
            usual | {"idempotencyKey": f"beside-{number // 2}"} if "idempotencyKey" in usual else usual
            for number in range(2 * AT_ONCE)
        ]
        await asyncio.gather(*(self._send(document, each, f"{name}: beside itself") for each in beside))
        hostile = list(_hostile(field, usual, random))
        for start in range(0, len(hostile), 50):
            some = hostile[start : start + 50]
            await asyncio.gather(*(self._send(document, variables, f"{name}: {what}") for variables, what in some))

    async def _send(self, document: str, variables: dict[str, Any], what: str) -> None:
        body = orjson.dumps({"query": document, "variables": variables}, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
        async with self._places, self._session.post("/graphql", data=body) as response:
            answer = await response.read()
            reason = server_error(response.status, response.headers.get("content-type"), answer)
        if reason is None:
            learn(orjson.loads(answer))
        else:
            self.failures.append(f"{what}: {reason[:400]}")


def _selection(type_: Any, depth: int = 0) -> str:
    """Leaves, and what is below nodes, payloads and edges."""
    named = get_named_type(type_)
    if is_leaf_type(named):
        return ""
    members = ["__typename"]
    for name, field in {} if isinstance(named, GraphQLUnionType) else named.fields.items():
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        if is_leaf_type(get_named_type(field.type)) or depth == 0 or name in ("edges", "node", "userErrors"):
            members.append(f"{name} {_selection(field.type, depth + 1)}")
    return f"{{ {' '.join(members)} }}"


def _usual(name: str, field: GraphQLField, random: Random) -> dict[str, Any]:
    about = f"{get_named_type(field.type)} {name}"
    values = {one: _value(one, argument.type, about, random) for one, argument in field.args.items()}
    keys = sorted(KEYS & values.keys())
    for key in keys[1:]:
        del values[key]
    return values


def _value(name: str, type_: Any, about: str, random: Random) -> Any:
    match type_:
        case GraphQLNonNull():
            return _value(name, type_.of_type, about, random)
        case GraphQLList():
            return [_value(name, type_.of_type, about, random)]
        case GraphQLInputObjectType():
            return {one: _value(one, field.type, about, random) for one, field in type_.fields.items()}
        case GraphQLEnumType():
            return random.choice(list(type_.values))
    return True if type_.name == "Boolean" else sensible(name, type_.name, about, random)


def _hostile(field: GraphQLField, usual: dict[str, Any], random: Random) -> Iterator[tuple[dict[str, Any], str]]:
    for name, value in usual.items():
        for path, values in _places(field.args[name].type, value, (name,)):
            for hostile in values:
                variables = deepcopy(usual)
                inside: Any = variables
                for step in path[:-1]:
                    inside = inside[step]
                if "idempotencyKey" in variables:
                    variables["idempotencyKey"] = f"key-{random.random()}"
                inside[path[-1]] = hostile
                yield variables, f"{'.'.join(map(str, path))} = {str(hostile)[:60]!r}"


def _places(type_: Any, value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Sequence[Any]]]:
    match type_:
        case GraphQLNonNull():
            yield from _places(type_.of_type, value, path)
        case GraphQLList():
            yield path, ([], value * 2, value * 101, value * LONG_LIST)
            yield from _places(type_.of_type, value[0], (*path, 0))
        case GraphQLInputObjectType():
            for name, field in type_.fields.items():
                yield from _places(field.type, value[name], (*path, name))
        case _:
            yield path, HOSTILE.get(type_.name, ())
