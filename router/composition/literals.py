"""Whether a literal can be a value of an input type of a subgraph (GraphQL specification, 5.6.1)."""

from __future__ import annotations

from graphql.language import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)

from router.composition.model import Subgraph, TypeDefinition

_SCALAR_LITERALS: dict[str, tuple[type[ValueNode], ...]] = {
    "Int": (IntValueNode,),
    "Float": (IntValueNode, FloatValueNode),
    "String": (StringValueNode,),
    "Boolean": (BooleanValueNode,),
    "ID": (StringValueNode, IntValueNode),
}


def literal_fits(subgraph: Subgraph, value: ValueNode, type_: str) -> bool:
    """Custom scalars take any literal."""
    if type_.endswith("!"):
        return not isinstance(value, NullValueNode) and literal_fits(subgraph, value, type_[:-1])
    if isinstance(value, NullValueNode):
        return True
    if type_.startswith("["):
        items = value.values or () if isinstance(value, ListValueNode) else (value,)
        return all(literal_fits(subgraph, item, type_[1:-1]) for item in items)
    if type_ in _SCALAR_LITERALS:
        return isinstance(value, _SCALAR_LITERALS[type_])
    definition = subgraph.types.get(type_)
    if definition is None or definition.kind == "scalar":
        return True
    if definition.kind == "enum":
        return isinstance(value, EnumValueNode) and value.value in definition.values
    return isinstance(value, ObjectValueNode) and _object_fits(subgraph, value, definition)


def _object_fits(subgraph: Subgraph, value: ObjectValueNode, definition: TypeDefinition) -> bool:
    given = {field.name.value: field.value for field in value.fields or ()}
    if given.keys() - definition.inputs.keys():
        return False
    return all(
        literal_fits(subgraph, given[name], field.type) if name in given else not field.required
        for name, field in definition.inputs.items()
    )
