"""Arguments that mean something, in place of most of what schemathesis draws: else hardly a request gets past the door.

``given`` replaces the values of an operation by the name and type of their argument; ``with_variables`` moves them out
of the document, as clients send them. Ids come from what the shop has answered so far (``learn``).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DocumentNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    NameNode,
    Node,
    NullValueNode,
    ObjectFieldNode,
    OperationDefinitionNode,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    parse,
    parse_type,
    print_ast,
    value_from_ast_untyped,
    visit,
)

SENSIBLE = (1.0, 0.85)
"""Share of values that are replaced, in one operation or another; the rest stays what it was drawn as."""

MOST_IDS = 200

TEXTS: Mapping[str, tuple[str, ...]] = {
    "query": ("비타민", "coffee", "a"),
    "search": ("비타민", "C", "김"),
    "slug": ("baekdu-health", "onnuri-farm"),
    "email": ("customer1@people.example", "nobody@people.example"),
    "password": ("correct horse battery staple",),
    "newPassword": ("another horse battery staple",),
    "phone": ("010-1234-5678",),
    "contactPhone": ("02-1234-5678",),
    "postalCode": ("06236", "63000"),
    "bankCode": ("88", "04"),
    "carrierCode": ("CJ", "HANJIN"),
    "trackingNumber": ("123456789012",),
    "businessNumber": ("2208162517", "1248100998"),
    "bankAccountNumber": ("110123456789",),
    "accountNumber": ("110123456789",),
    "returnUrl": ("https://store.example/card",),
    "agreedTermVersions": ("1",),
}
WHOLE: Mapping[str, tuple[int, int]] = {"first": (1, 3), "rating": (1, 5), "version": (1, 3), "weightGrams": (1, 900)}
FUTURE: Mapping[str, int] = {"opensAt": 1, "closesAt": 30, "startsAt": 0, "endsAt": 2, "estimatedDeliveryOn": 90}
"""Days from now."""

KEYS = {"id", "slug", "sku", "number"}
"""A thing is asked for by one of them."""

_known: defaultdict[str, list[str]] = defaultdict(list)
_cursors: list[str] = []


def learn(answer: Any) -> None:
    """Remember the ids and cursors in an answer, and ids in a plain list of them."""
    if isinstance(answer, dict):
        for key, value in answer.items():
            learn(value)
            if key == "endCursor" and value and value not in _cursors:
                _cursors.append(value)
    elif isinstance(answer, list):
        for each in answer:
            learn(each)
    elif isinstance(answer, str) and (type_name := _type_of(answer)):
        ids = _known[type_name]
        if answer not in ids:
            ids.append(answer)
            del ids[:-MOST_IDS]


def _type_of(id_: str) -> str | None:
    try:
        name, separator, _ = urlsafe_b64decode(id_ + "=" * (-len(id_) % 4)).decode().partition(":")
    except ValueError:
        return None
    return name if separator and name.isalpha() and len(id_) > 30 else None


def given(document: DocumentNode, schema: GraphQLSchema, random: Random) -> DocumentNode:
    """The document with sensible values for most of its arguments."""
    info = TypeInfo(schema)
    share = random.choice(SENSIBLE)

    class Replace(Visitor):
        def enter(self, node: Node, *_: Any) -> Node | None:
            if isinstance(node, FieldNode):
                return _by_one_key(node, random) if random.random() < share else None
            if not isinstance(node, ArgumentNode | ObjectFieldNode) or random.random() > share:
                return None
            type_: Any = get_named_type(info.get_input_type())
            if isinstance(type_, GraphQLInputObjectType | GraphQLEnumType) or type_ is None:
                return None
            field = info.get_field_def()
            about = str(get_named_type(field.type)) if field else ""
            chosen = _value(node.name.value, type_.name, f"{about} {_field_name(info)}", random)
            if chosen is None or isinstance(node.value, NullValueNode):
                return None
            value = ListValueNode(values=(chosen,)) if isinstance(node.value, ListValueNode) else chosen
            return type(node)(name=node.name, value=value)

    found: DocumentNode = visit(document, TypeInfoVisitor(info, Replace()))
    return found


def _by_one_key(field: FieldNode, random: Random) -> FieldNode | None:
    keys = [argument for argument in field.arguments if argument.name.value in KEYS]
    if len(keys) < 2:
        return None
    dropped = random.choice(keys)
    return replace(field, arguments=tuple(each for each in field.arguments if each is not dropped))


def _field_name(info: TypeInfo) -> str:
    parent, field = info.get_parent_type(), info.get_field_def()
    names = getattr(parent, "fields", {})
    return next((name for name, definition in names.items() if definition is field), "")


def _value(name: str, type_name: str, about: str, random: Random) -> ValueNode | None:
    now = datetime.now(UTC)
    match type_name:
        case "ID":
            ids = _ids_for(name, about)
            return StringValueNode(value=random.choice(ids)) if ids else None
        case "Int":
            return IntValueNode(value=str(random.randint(*WHOLE.get(name, (1, 5)))))
        case "Decimal":
            return StringValueNode(value=str(random.choice((1, 100, 9_900, 12_000, 1_000_000))))
        case "Date":
            day = now.date() + timedelta(days=FUTURE.get(name, random.randint(-30, 30)))
            return StringValueNode(value=day.isoformat())
        case "DateTime":
            at = now + timedelta(days=FUTURE.get(name, -random.randint(0, 30)), minutes=random.randint(1, 50))
            return StringValueNode(value=at.isoformat())
        case "String" if name == "after":
            return StringValueNode(value=random.choice(_cursors)) if _cursors and random.random() < 0.5 else _NONE
        case "String":
            made = f"{name}-{random.randint(0, 10**6)}"
            return StringValueNode(value=random.choice(TEXTS.get(name, (made,))))
    return None


def sensible(name: str, type_name: str, about: str, random: Random) -> Any:
    """The same for variables; None where nothing is known."""
    value = _value(name, type_name, about, random)
    return None if value is None else value_from_ast_untyped(value)


_NONE = NullValueNode()


def _ids_for(name: str, about: str) -> list[str]:
    """``variantId`` names ProductVariants, the ``id`` of ``projectReview`` Projects; what tells nothing, anything."""
    stem = name.removesuffix("s").removesuffix("Id").lower()
    returned, _, field = about.lower().partition(" ")
    names = [known for known in _known if stem not in ("", "id") and known.lower().endswith(stem)]
    if not names:
        names = [known for known in _known if known.lower() == returned or field.startswith(known.lower())]
        names = [max(names, key=len)] if names else list(_known)
    return [each for known in names for each in _known[known]]


def with_variables(text: str, schema: GraphQLSchema) -> bytes:
    """The body of a request with every argument a variable, where JSON can say its value."""
    info = TypeInfo(schema)
    variables: dict[str, Any] = {}
    definitions: list[VariableDefinitionNode] = []

    class Lift(Visitor):
        def enter_argument(self, node: ArgumentNode, *_: Any) -> ArgumentNode | None:
            argument = info.get_argument()
            if argument is None or isinstance(node.value, VariableNode | BooleanValueNode):
                return None
            variable = VariableNode(name=NameNode(value=f"v{len(variables)}"))
            variables[variable.name.value] = value_from_ast_untyped(node.value)
            definitions.append(VariableDefinitionNode(variable=variable, type=parse_type(str(argument.type))))
            return ArgumentNode(name=node.name, value=variable)

    document: DocumentNode = visit(parse(text, no_location=True), TypeInfoVisitor(info, Lift()))
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    lifted = replace(operation, variable_definitions=tuple(definitions))
    try:
        return orjson.dumps({"query": print_ast(lifted), "variables": variables})
    except (TypeError, orjson.JSONEncodeError):
        return orjson.dumps({"query": text})
