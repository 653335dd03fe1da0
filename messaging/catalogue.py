"""The event catalogue as others read it: AsyncAPI 3.0, and a JSON Schema a type, generated from ``messaging.events``.

``python -m messaging.catalogue`` prints the former as YAML.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from messaging.envelope import CONTENT_TYPE, MAX_EVENTS
from messaging.events import CATALOGUE, EventData
from messaging.topology import EXCHANGE, queue_name


def producer(type: str) -> str:
    """The subgraph that tells events of ``type``: the second part of its name."""
    return type.split(".")[1]


def event_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each type's ``data``, by type."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {
        type: {"$schema": dialect, "title": type} | _plain(msgspec.json.schema(payload))
        for type, payload in sorted(CATALOGUE.items())
    }


def asyncapi(consumers: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The AsyncAPI 3.0 document. ``consumers``: which types each subgraph takes (``{"payments": [type, ...]}``).

    Raises ValueError for a type that is not in the catalogue.
    """
    for subgraph, types in consumers.items():
        if unknown := set(types) - set(CATALOGUE):
            raise ValueError(f"{subgraph} consumes types that nobody tells: {sorted(unknown)}")
    catalogue = dict(sorted(CATALOGUE.items()))
    _, schemas = msgspec.json.schema_components(catalogue.values(), ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "dure events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 between the subgraphs, at least once, in no guaranteed order.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {payload.__name__: _channel(payload) for payload in catalogue.values()},
        "operations": _operations(catalogue, consumers),
        "components": {
            "messages": {payload.__name__: _message(payload) for payload in catalogue.values()},
            "schemas": dict(sorted((_plain(schemas) | {"CloudEvent": _cloud_event()}).items())),
        },
    }


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """msgspec puts the Python values of defaults (tuples) into its schemas; documents have lists."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(schema))
    return plain


def _channel(payload: type[EventData]) -> dict[str, Any]:
    return {
        "address": payload.type,
        "messages": {payload.__name__: {"$ref": f"#/components/messages/{payload.__name__}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": {"name": EXCHANGE, "type": "topic", "durable": True}}},
    }


def _operations(
    catalogue: Mapping[str, type[EventData]], consumers: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    operations = {}
    for type, payload in catalogue.items():
        channel = {"$ref": f"#/channels/{payload.__name__}"}
        teller = producer(type)
        operations[f"{teller}-tells-{payload.__name__}"] = {
            "action": "send",
            "channel": channel,
            "tags": [{"name": teller}],
        }
        for subgraph in sorted(name for name, types in consumers.items() if type in types):
            operations[f"{subgraph}-takes-{payload.__name__}"] = {
                "action": "receive",
                "channel": channel,
                "tags": [{"name": subgraph}],
                "description": f"From the queue {queue_name(subgraph)}.",
            }
    return operations


def _message(payload: type[EventData]) -> dict[str, Any]:
    return {
        "name": payload.type,
        "title": payload.__name__,
        "summary": inspect.cleandoc(payload.__doc__ or ""),
        "contentType": CONTENT_TYPE,
        "payload": {
            "type": "array",
            "maxItems": MAX_EVENTS,
            "items": {
                "allOf": [
                    {"$ref": "#/components/schemas/CloudEvent"},
                    {
                        "properties": {
                            "type": {"const": payload.type},
                            "data": {"$ref": f"#/components/schemas/{payload.__name__}"},
                        }
                    },
                ]
            },
        },
    }


def _cloud_event() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "The context attributes of CloudEvents 1.0 in JSON.",
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text | {"description": "A ULID; the same event delivered again has the same."},
            "source": text | {"description": "The teller, /dure/<subgraph>."},
            "type": text,
            "subject": text | {"description": "The id of what the event is about."},
            "time": text | {"format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "traceparent": text | {"description": "W3C Trace Context of the request that caused it."},
        },
    }


if __name__ == "__main__":
    yaml.safe_dump(asyncapi({}), sys.stdout, sort_keys=False, allow_unicode=True, width=120)
