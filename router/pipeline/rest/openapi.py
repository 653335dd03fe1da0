"""The OpenAPI 3.1 document of an API, which is also what its requests are held against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphql import GraphQLNonNull, GraphQLSchema, is_required_input_field

from router.pipeline.rest.json_schema import Schema, Schemas
from router.pipeline.rest.model import Api, Call, Endpoint
from router.pipeline.rest.problems import MEDIA_TYPE, SCHEMA
from router.pipeline.rest.selections import Selections

ALWAYS = {400, 401, 403, 404, 406, 429, 431, 500, 502, 503, 504}
WITH_BODY = {408, 413, 415}
JSON = "application/json"


def openapi(api: Api, schema: GraphQLSchema) -> dict[str, Any]:
    """The document."""
    schemas = Schemas(api.scalars)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in api.endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, api, schema, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": api.version, "description": api.description},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in api.endpoints) if tag],
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, "Problem": SCHEMA},
            "responses": {
                "Problem": {
                    "description": "Refused.",
                    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def body_schema(call: Call, schemas: Schemas) -> Schema:
    """The schema of the body that a call takes."""
    named = call.of("body")
    remainder = call.remainder
    if remainder is not None and not named:
        return schemas.input(GraphQLNonNull(remainder.type))
    properties = {argument.name: schemas.input(argument.type) for argument in named}
    required = [argument.name for argument in named if argument.required]
    if remainder is not None:
        properties |= {name: schemas.input(field.type) for name, field in remainder.type.fields.items()}
        if remainder.required:
            required += [name for name, field in remainder.type.fields.items() if is_required_input_field(field)]
    made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**made, "required": required} if required else made


def _operation(endpoint: Endpoint, api: Api, schema: GraphQLSchema, schemas: Schemas) -> dict[str, Any]:
    calls = endpoint.calls
    made: dict[str, Any] = {
        "operationId": "Or".join(call.operation.name for call in calls),
        "summary": endpoint.summary,
        "tags": [endpoint.tag] if endpoint.tag else [],
        "parameters": [
            {
                "name": argument.name,
                "in": argument.place,
                "required": argument.required,
                "schema": schemas.input(_given(argument.type)),
            }
            for argument in calls[0].of("path", "query", "header")
        ],
    }
    if any(call.has_body for call in calls):
        bodies = [body_schema(call, schemas) for call in calls]
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": _any(bodies, "oneOf")}}}
    results = [_result(call, schema, schemas) for call in calls]
    statuses = ALWAYS | ({*api.statuses.values(), api.default_status} if any(call.errors for call in calls) else set())
    if "requestBody" in made:
        statuses |= WITH_BODY
    done = {"description": "Done.", "content": {JSON: {"schema": _any(_distinct(results), "anyOf")}}}
    refused = {str(status): {"$ref": "#/components/responses/Problem"} for status in sorted(statuses)}
    made["responses"] = {str(endpoint.status): done, **refused}
    return made


def _result(call: Call, schema: GraphQLSchema, schemas: Schemas) -> Schema:
    selections = Selections(schema, call.document)
    found = selections.at(call.definition, call.result)
    assert found is not None, "checked when the bindings were read"
    assert found.type is not None, "checked when the bindings were read"
    return schemas.output(found.type, found.below, selections, null=False)


def _given(type_: Any) -> Any:
    """A parameter that is given has a value: text cannot be null."""
    return type_ if isinstance(type_, GraphQLNonNull) else GraphQLNonNull(type_)


def _any(schemas: list[Schema], word: str) -> Schema:
    return schemas[0] if len(schemas) == 1 else {word: schemas}


def _distinct(schemas: Iterable[Schema]) -> list[Schema]:
    found: list[Schema] = []
    for one in schemas:
        if one not in found:
            found.append(one)
    return found
