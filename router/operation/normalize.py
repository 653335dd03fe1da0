"""From a validated document to the operation that the planner reads."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    OperationDefinitionNode,
    print_ast,
)

from router.errors import OperationError
from router.operation.model import Operation, VariableDefinition
from router.operation.passes.collect import Collector
from router.operation.passes.conditions import condition_defaults
from router.operation.passes.literals import canonical_value


def normalize(
    document: DocumentNode,
    operation_name: str | None,
    schema: GraphQLSchema,
    condition_values: Mapping[str, bool],
    *,
    defer: bool = True,
) -> Operation:
    """The chosen operation with fragments inlined, fields merged and conditions decided.

    ``condition_values`` are the values of the Boolean variables that ``condition_variables`` names; a variable that
    is missing there takes its default. Without ``defer`` nothing is deferred. The result is a function of the
    arguments only, so plans may be kept by them.

    Raises OperationError if the document has no such operation, or does not fit the schema.
    """
    definition = select_operation(document, operation_name)
    root_type = schema.get_root_type(definition.operation)
    if root_type is None:
        raise OperationError(f"Schema is not configured to execute {definition.operation.value} operation.")
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    values = {**condition_defaults(definition), **condition_values}
    is_subscription = definition.operation.value == "subscription"
    collector = Collector(schema, fragments, values, defer=defer, subscription=is_subscription)
    return Operation(
        kind=definition.operation.value,
        root_type=root_type.name,
        selections=collector.root(root_type, definition.selection_set),
        name=definition.name.value if definition.name else None,
        variables=_variables(definition),
    )


def select_operation(document: DocumentNode, operation_name: str | None) -> OperationDefinitionNode:
    """The operation to execute (GraphQL specification, 6.1, GetOperation). Raises OperationError."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if operation_name is None:
        if len(operations) == 1:
            return operations[0]
        if not operations:
            raise OperationError("Must provide an operation.")
        raise OperationError("Must provide operation name if query contains multiple operations.")
    for operation in operations:
        if operation.name and operation.name.value == operation_name:
            return operation
    raise OperationError(f'Unknown operation named "{operation_name}".')


def _variables(definition: OperationDefinitionNode) -> tuple[VariableDefinition, ...]:
    return tuple(
        VariableDefinition(
            name=node.variable.name.value,
            type=print_ast(node.type),
            default=canonical_value(node.default_value) if node.default_value else None,
        )
        for node in definition.variable_definitions or ()
    )
