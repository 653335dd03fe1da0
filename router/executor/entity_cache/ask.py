"""Asking a subgraph through the cache: what is there is taken, what is missing is asked for in one request.

Requests that miss the same public entry at the same time share one fetch (in this process; across processes each asks
once, which needs no lock that could be lost). They share only if no purge lies between them, so nobody who comes after
a purge gets an answer that was read before it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from router.errors import RequestErrorCode, SubgraphError
from router.executor.entity_cache.compiled import KEY_BYTES, KeptFetch, Part, TypePart
from router.executor.entity_cache.formats import format_tags
from router.executor.entity_cache.session import CacheSession, Flight
from router.executor.entity_cache.store import Entry, Stamp, subgraph_tag
from router.executor.entity_cache.tags import tags_of
from router.executor.entity_cache.told import told_age
from router.executor.json_bytes import write_json
from router.executor.transport import SubgraphRequest, SubgraphResponse

Send = Callable[[SubgraphRequest, int], Awaitable[SubgraphResponse]]
"""Sends a request that carries so many representations. Raises SubgraphError."""

ROOT = "Query"
"""What metrics call the type of a root answer."""

MAX_TAGS = 1_000
"""Of one entry: each is looked up whenever the entry is."""

JITTER = 0.1
"""Entries that are made together end apart: each lives up to this share shorter."""


@dataclass(slots=True)
class _Unit:
    """Something to be answered: an entity of a part (``index`` among its representations), or a root selection."""

    part: Part
    index: int
    representation: Any
    type_part: TypePart | None
    key: bytes = b""
    value: Any = None

    @property
    def public(self) -> bool:
        return self.type_part is not None and not self.type_part.policy.private


async def ask(kept: KeptFetch, session: CacheSession, request: SubgraphRequest, send: Send) -> SubgraphResponse:
    """The answer to ``request``, as the subgraph would give it. Raises SubgraphError."""
    return await _Asking(kept, session, request, send).run()


class _Asking:
    def __init__(self, kept: KeptFetch, session: CacheSession, request: SubgraphRequest, send: Send) -> None:
        self._kept = kept
        self._session = session
        self._cache = session.cache
        self._request = request
        self._send = send
        self._units = _units(kept, session, request)
        self._errors: list[Any] = []
        self._stamp: Stamp | None = None
        self._no_data = False

    async def run(self) -> SubgraphResponse:
        keyed = [unit for unit in self._units if unit.key]
        if not keyed:
            return await self._send(self._request, len(self._units))
        found = await self._cache.look_up([unit.key for unit in keyed])
        hits: set[int] = set()
        if found is not None:
            self._stamp = found.stamp
            for unit, data in zip(keyed, found.entries, strict=True):
                if data is not None:
                    unit.value = orjson.loads(data)
                    hits.add(id(unit))
        self._cache.count(self._kept.fetch.subgraph, ((self._type_of(unit), id(unit) in hits) for unit in keyed))
        await self._fill([unit for unit in self._units if id(unit) not in hits])
        return self._response()

    async def _fill(self, missing: list[_Unit]) -> None:
        if not missing:
            return
        if self._stamp is None:
            await self._ask_as_caller(missing)
            return
        public = [unit for unit in missing if unit.public]
        own = [unit for unit in missing if not unit.public]
        if not public:
            await self._ask_as_caller(own)
            return
        if self._session.caller is None and own:
            # A stranger's own things are asked for together with what is public: the request is the same.
            led, joined = self._board(public)
            await asyncio.gather(self._lead(led, own, self._stamp), self._follow(joined))
        elif own:
            await asyncio.gather(self._share(public, self._stamp), self._ask_as_caller(own))
        else:
            await self._share(public, self._stamp)
        again = [unit for unit in public if not self._whole(unit)]
        if again and self._session.caller is not None:
            # What a stranger does not get, the caller may.
            await self._ask_as_caller(again)

    async def _share(self, public: list[_Unit], stamp: Stamp) -> None:
        led, joined = self._board(public)
        await asyncio.gather(self._lead(led, [], stamp), self._follow(joined))

    def _board(self, public: list[_Unit]) -> tuple[list[_Unit], list[tuple[_Unit, Flight]]]:
        """Join the flights that are under way, open the others. No await lies between looking and opening."""
        assert self._stamp is not None
        flights, clock = self._cache.flights, self._stamp.clock
        led: list[_Unit] = []
        joined: list[tuple[_Unit, Flight]] = []
        for unit in public:
            flight = flights.get((unit.key, clock))
            if flight is None:
                flights[unit.key, clock] = asyncio.get_running_loop().create_future()
                led.append(unit)
            else:
                joined.append((unit, flight))
        return led, joined

    async def _lead(self, led: list[_Unit], along: list[_Unit], stamp: Stamp) -> None:
        if not led and not along:
            return
        # A task of its own: if this request is given up, those that follow still get their answer.
        task: asyncio.Task[object] = asyncio.create_task(self._fly(led, along, stamp))
        self._cache.tasks.add(task)
        task.add_done_callback(self._cache.landed)
        await asyncio.shield(task)

    async def _fly(self, led: list[_Unit], along: list[_Unit], stamp: Stamp) -> None:
        clean: dict[bytes, bytes] = {}
        failed: SubgraphError | None = None
        try:
            quiet = self._session.caller is not None
            entries = await self._ask_and_encode([*led, *along], self._session.nobody, quiet=quiet)
            clean = {entry.key: entry.data for entry in entries}
            await self._cache.keep(stamp, entries)
        except SubgraphError as error:
            failed = error
            raise
        finally:
            for unit in led:
                flight = self._cache.flights.pop((unit.key, stamp.clock))
                if flight.done():
                    continue
                if failed is not None:
                    flight.set_exception(failed)
                    flight.exception()  # nobody need be waiting for it
                else:
                    flight.set_result(clean.get(unit.key))

    async def _follow(self, joined: list[tuple[_Unit, Flight]]) -> None:
        alone: list[_Unit] = []
        for unit, flight in joined:
            data = await asyncio.shield(flight)
            if data is None:
                alone.append(unit)
            else:
                unit.value = orjson.loads(data)
        if alone:
            await self._ask_as_caller(alone)

    async def _ask_as_caller(self, units: list[_Unit]) -> None:
        entries = await self._ask_and_encode(units, self._request.headers)
        private = {unit.key for unit in units if unit.key and not unit.public}
        own = [entry for entry in entries if entry.key in private]
        if own and self._stamp is not None:
            await self._cache.keep(self._stamp, own)

    async def _ask_and_encode(self, units: list[_Unit], headers: dict[str, str], *, quiet: bool = False) -> list[Entry]:
        """Ask for these units. Gives what may be kept of the answer, encoded before anybody changes it.

        ``quiet``: an answer with errors is passed over, for the caller will ask as oneself.
        """
        request = self._request
        variables = request.variables
        by_part: dict[str, list[_Unit]] = {}
        if self._kept.root is None:
            variables = dict(variables or {})
            for part in self._kept.parts:
                own = [unit for unit in units if unit.part is part]
                by_part[part.alias] = own
                variables[part.variable] = [unit.representation for unit in own]
        asked = SubgraphRequest(
            self._kept.document, variables, request.operation_name, headers, request.kind, request.deadline
        )
        response = await self._send(asked, len(units) if self._kept.root is None else 0)
        if quiet and response.errors:
            return []
        self._errors += _moved(response.errors or (), by_part) if by_part else response.errors or ()
        self._take(units, response, by_part)
        if response.errors:
            return []
        return [entry for unit in units if (entry := self._entry(unit, response)) is not None]

    def _take(self, units: list[_Unit], response: SubgraphResponse, by_part: Mapping[str, list[_Unit]]) -> None:
        if not isinstance(response.data, dict):
            self._no_data = True
            return
        if not by_part:
            units[0].value = response.data
            return
        for alias, own in by_part.items():
            answer = response.data.get(alias)
            if isinstance(answer, list) and len(answer) == len(own):
                for unit, value in zip(own, answer, strict=True):
                    unit.value = value
            elif answer is not None or (own and not response.errors):
                raise SubgraphError(
                    RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE,
                    "The subgraph did not answer with one entity for each representation.",
                )

    def _entry(self, unit: _Unit, response: SubgraphResponse) -> Entry | None:
        kept, value = unit.type_part, unit.value
        if kept is None or not unit.key or not isinstance(value, dict) or not self._whole(unit):
            return None
        named = format_tags(kept.formats, unit.representation, self._request.variables)
        if named is None:
            return None
        tags = dict.fromkeys(
            (subgraph_tag(self._kept.fetch.subgraph), *named, *tags_of(kept.spot, value, unit.representation))
        )
        if len(tags) > MAX_TAGS:
            return None
        extensions = response.extensions or {}
        told = extensions.get("entityVersions")
        versions = {tag: told[tag] for tag in tags if tag in told} if isinstance(told, dict) else {}
        age = told_age(response, kept.policy)
        if age <= 0:
            return None
        return Entry(unit.key, write_json(value), tuple(tags), age * (1 - JITTER * random.random()), versions)

    def _whole(self, unit: _Unit) -> bool:
        """An entity or root field that is null may be hidden from a stranger, or come to be: it is not kept."""
        if unit.value is None or self._kept.root is None:
            return unit.value is not None
        return all(value is not None for value in unit.value.values())

    def _type_of(self, unit: _Unit) -> str:
        return ROOT if self._kept.root is not None else unit.representation["__typename"]

    def _response(self) -> SubgraphResponse:
        errors = self._errors or None
        if self._kept.root is not None:
            return SubgraphResponse(self._units[0].value, errors)
        if self._no_data and all(unit.value is None for unit in self._units):
            return SubgraphResponse(None, errors)
        data: dict[str, Any] = {part.alias: [] for part in self._kept.parts}
        for unit in self._units:
            data[unit.part.alias].append(unit.value)
        return SubgraphResponse(data, errors)


def _units(kept: KeptFetch, session: CacheSession, request: SubgraphRequest) -> list[_Unit]:
    given = request.variables or {}
    units = []
    for part in kept.parts:
        used = orjson.dumps(
            {name: given[name] for name in part.variables if name in given}, option=orjson.OPT_SORT_KEYS
        )
        head = blake2b(part.text + session.vary + used, digest_size=KEY_BYTES)
        own = head.copy()
        own.update(session.caller or b"")
        representations = [None] if kept.root is not None else given.get(part.variable) or []
        for index, representation in enumerate(representations):
            type_part = kept.root or part.types.get(representation.get("__typename", ""))
            unit = _Unit(part, index, representation, type_part)
            if type_part is not None and (unit.public or session.caller is not None):
                digest = (head if unit.public else own).copy()
                digest.update(b"\0" if unit.public else b"\1")
                digest.update(orjson.dumps(representation, option=orjson.OPT_SORT_KEYS))
                unit.key = digest.digest()
            units.append(unit)
    return units


def _moved(errors: Any, by_part: Mapping[str, list[_Unit]]) -> list[Any]:
    """Errors of a request for some of the representations, as those of a request for all."""
    moved = []
    for error in errors:
        path = error.get("path") if isinstance(error, dict) else None
        if isinstance(path, list) and len(path) > 1 and isinstance(path[1], int):
            own = by_part.get(str(path[0]), [])
            if 0 <= path[1] < len(own):
                error = {**error, "path": [path[0], own[path[1]].index, *path[2:]]}
        moved.append(error)
    return moved
