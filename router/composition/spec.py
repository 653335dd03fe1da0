"""The federation directives by version, and what composition does with each on its way to the supergraph.

Source: the Federation directive reference and the core schemas specification (link v1.0).
"""

from __future__ import annotations

from dataclasses import dataclass

LINK_IDENTITY = "https://specs.apollo.dev/link"
FEDERATION_IDENTITY = "https://specs.apollo.dev/federation"
LATEST_FEDERATION_READ = (2, 12)
FEDERATION_1 = (1, 0)
ENTITY_INTERFACE_SINCE = (2, 3)
JOIN_URL = "https://specs.apollo.dev/join/v0.5"
LINK_URL = "https://specs.apollo.dev/link/v1.0"

_EVERYWHERE = (
    "FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ARGUMENT_DEFINITION | SCALAR | ENUM | ENUM_VALUE | INPUT_OBJECT"
    " | INPUT_FIELD_DEFINITION"
)
_AUTH = "FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM"


@dataclass(frozen=True, slots=True)
class DirectiveSpec:
    """A federation directive: ``signature`` is what follows its name; ``{ns}`` is where scalar names get a prefix."""

    name: str
    signature: str
    since: tuple[int, int] = (2, 0)


DIRECTIVES: tuple[DirectiveSpec, ...] = (
    DirectiveSpec("key", "(fields: {FieldSet}!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE"),
    DirectiveSpec("requires", "(fields: {FieldSet}!) on FIELD_DEFINITION"),
    DirectiveSpec("provides", "(fields: {FieldSet}!) on FIELD_DEFINITION"),
    DirectiveSpec("external", "(reason: String) on OBJECT | FIELD_DEFINITION"),
    DirectiveSpec("tag", f"(name: String!) repeatable on {_EVERYWHERE} | SCHEMA"),
    DirectiveSpec("extends", " on OBJECT | INTERFACE"),
    DirectiveSpec("shareable", " repeatable on OBJECT | FIELD_DEFINITION"),
    DirectiveSpec("inaccessible", f" on {_EVERYWHERE}"),
    DirectiveSpec("override", "(from: String!, label: String) on FIELD_DEFINITION"),
    DirectiveSpec("composeDirective", "(name: String) repeatable on SCHEMA", (2, 1)),
    DirectiveSpec("interfaceObject", " on OBJECT", (2, 3)),
    DirectiveSpec("authenticated", f" on {_AUTH}", (2, 5)),
    DirectiveSpec("requiresScopes", f"(scopes: [[{{Scope}}!]!]!) on {_AUTH}", (2, 5)),
    DirectiveSpec("policy", f"(policies: [[{{Policy}}!]!]!) on {_AUTH}", (2, 6)),
    DirectiveSpec("context", "(name: String!) repeatable on INTERFACE | OBJECT | UNION", (2, 8)),
    DirectiveSpec("fromContext", "(field: {ContextFieldValue}) on ARGUMENT_DEFINITION", (2, 8)),
    DirectiveSpec(
        "cost",
        "(weight: Int!) on ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION | INPUT_FIELD_DEFINITION | OBJECT | SCALAR",
        (2, 9),
    ),
    DirectiveSpec(
        "listSize",
        "(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!],"
        " requireOneSlicingArgument: Boolean = true) on FIELD_DEFINITION",
        (2, 9),
    ),
    DirectiveSpec("cacheTag", "(format: String!) repeatable on OBJECT | FIELD_DEFINITION", (2, 12)),
)
BY_NAME = {spec.name: spec for spec in DIRECTIVES}
FEDERATION_1_DIRECTIVES = ("key", "requires", "provides", "external", "extends", "tag")
SCALARS = {"FieldSet": (2, 0), "Scope": (2, 5), "Policy": (2, 6), "ContextFieldValue": (2, 8)}

LINK_DEFINITION = (
    "directive @{name}(url: String, as: String, for: {ns}Purpose, import: [{ns}Import]) repeatable on SCHEMA"
)


def available(version: tuple[int, int]) -> dict[str, DirectiveSpec]:
    """The directives that a federation version has."""
    if version == FEDERATION_1:
        return {name: BY_NAME[name] for name in FEDERATION_1_DIRECTIVES}
    return {spec.name: spec for spec in DIRECTIVES if spec.since <= version}


@dataclass(frozen=True, slots=True)
class MergedDirective:
    """A directive that survives into the supergraph, under the feature that defines it there."""

    name: str
    url: str
    purpose: str | None
    definition: str
    scalar: str | None = None


def _merged(name: str, feature: str, version: str, purpose: str | None, scalar: str | None = None) -> MergedDirective:
    signature = BY_NAME[name].signature
    if scalar is not None:
        signature = signature.replace("{" + scalar + "}", f"{feature}__{scalar}")
    url = f"https://specs.apollo.dev/{feature}/{version}"
    return MergedDirective(name, url, purpose, signature, f"{feature}__{scalar}" if scalar else None)


MERGED: dict[str, MergedDirective] = {
    merged.name: merged
    for merged in (
        _merged("tag", "tag", "v0.3", None),
        _merged("inaccessible", "inaccessible", "v0.2", "SECURITY"),
        _merged("authenticated", "authenticated", "v0.1", "SECURITY"),
        _merged("requiresScopes", "requiresScopes", "v0.1", "SECURITY", "Scope"),
        _merged("policy", "policy", "v0.1", "SECURITY", "Policy"),
        _merged("cost", "cost", "v0.1", None),
        _merged("listSize", "cost", "v0.1", None),
    )
}
