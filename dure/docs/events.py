"""The event catalogue for people (``docs/events.md``) and for tools (AsyncAPI, a JSON Schema a type)."""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from dure import subgraphs
from dure.docs.markdown import docstring, page, table
from dure.purging import TAKES
from messaging.catalogue import asyncapi, event_schemas, producer
from messaging.events import CATALOGUE, EventData
from messaging.topology import ROUTER

NAMES = {str: "text", int: "integer", bool: "boolean", datetime: "instant"}


def files() -> dict[Path, str]:
    """The catalogue in its three forms."""
    consumers = {name: [payload.type for payload in entry.consumes] for name, entry in subgraphs.ALL.items()}
    consumers[ROUTER] = [payload.type for payload in TAKES]
    document = yaml.safe_dump(asyncapi(consumers), sort_keys=False, allow_unicode=True, width=120)
    schemas = {
        Path(f"schema/events/{type}.schema.json"): json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for type, schema in event_schemas().items()
    }
    return {Path("docs/events.md"): _page(), Path("docs/events.asyncapi.yaml"): document, **schemas}


def _page() -> str:
    told = {name: [each for each in CATALOGUE.values() if producer(each.type) == name] for name in subgraphs.ALL}
    overview = table(
        ("event", "told by", "taken by"),
        (
            (f"[{each.__name__}](#{each.__name__.lower()})", name, ", ".join(consumers_of(each)) or "nobody yet")
            for name, payloads in told.items()
            for each in payloads
        ),
    )
    blocks = [block for name in told for block in (f"## {name}", *(_event(each) for each in told[name]))]
    return page(
        "Events",
        "CloudEvents 1.0 in JSON batches, at least once and in no guaranteed order; the routing key is the type. "
        "For tools: [events.asyncapi.yaml](events.asyncapi.yaml), and a JSON Schema a type in `schema/events/`.",
        "The `data` of an event: " + docstring(EventData).removeprefix("The `data` of a CloudEvent. "),
        overview,
        *blocks,
    )


def consumers_of(payload: type[EventData]) -> list[str]:
    """The subgraphs that take this type, and the router where its cache is purged by it."""
    takers = [name for name, entry in subgraphs.ALL.items() if payload in entry.consumes]
    return [*takers, ROUTER] if payload in TAKES else takers


def _event(payload: type[EventData]) -> str:
    nested = [_struct(each) for each in _structs_in(payload)]
    head = f"`{payload.type}` · about `{payload.subject}` · taken by {', '.join(consumers_of(payload)) or 'nobody yet'}"
    return "\n\n".join([f"### {payload.__name__}", docstring(payload), head, _fields(payload), *nested])


def _struct(struct: type[msgspec.Struct]) -> str:
    return f"`{struct.__name__}`:\n\n{_fields(struct)}"


def _fields(struct: type[msgspec.Struct]) -> str:
    hints = get_type_hints(struct)
    return table(
        ("field", "type", "when left out"),
        ((f"`{each.name}`", type_name(hints[each.name]), _default(each)) for each in msgspec.structs.fields(struct)),
    )


def _default(field: Any) -> str:
    if field.required:
        return "never"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def type_name(hint: Any) -> str:
    """A type as a reader of JSON knows it."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join("null" if each is type(None) else type_name(each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return f"list of {type_name(get_args(hint)[0])}"
    return NAMES.get(hint) or f"`{hint.__name__}`"


def _structs_in(payload: type[EventData]) -> Sequence[type[msgspec.Struct]]:
    found = [get_args(hint)[0] for hint in get_type_hints(payload).values() if get_origin(hint) is tuple]
    return [each for each in found if isinstance(each, type) and issubclass(each, msgspec.Struct)]
