"""A validated operation made into functions: its selection sets flattened, a variant for each set of conditions.

Which fields are selected depends on nothing but the variables in ``@skip`` and ``@include``. So an operation has one
variant for each of their values seen, and within it nothing is decided anew.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    is_abstract_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues
from graphql.language import Visitor, visit
from graphql.utilities import get_operation_ast
from strawberry.schema.schema_converter import GraphQLCoreConverter

from subgraphs.kit.execution.completion import Field, complete_abstract, complete_list, complete_object, select
from subgraphs.kit.execution.fields import FieldInfo, compile_field
from subgraphs.kit.execution.leaves import compile_leaf
from subgraphs.kit.execution.run import Facts, Run, Slot
from subgraphs.kit.execution.variables import Variables

MAX_VARIANTS = 32
MAX_DEPTH = 100
"""Deeper operations are graphql-core's: it has an answer for what overflows the stack."""


def compile_operation(
    schema: GraphQLSchema, converter: GraphQLCoreConverter, document: DocumentNode, operation_name: str | None
) -> Operation | None:
    """The operation, ready to run; None for what graphql-core must execute (subscriptions, ``@defer``, ...)."""
    node = get_operation_ast(document, operation_name)
    if node is None or node.operation is OperationType.SUBSCRIPTION:
        return None
    shape = _Shape()
    visit(document, shape)
    if not shape.plain or shape.deepest > MAX_DEPTH:
        return None
    return Operation(schema, converter, document, node, shape.conditions)


class _Shape(Visitor):
    """Finds what decides on the selected fields, and what is not for us."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = True
        self.conditions: set[str] = set()
        self.deepest = 0
        self._depth = 0

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        if node.name.value not in ("skip", "include"):
            self.plain = False
        for argument in node.arguments or ():
            if isinstance(argument.value, VariableNode):
                self.conditions.add(argument.value.name.value)

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.plain = self.plain and node.name.value not in ("__schema", "__type")

    def enter_selection_set(self, *_: Any) -> None:
        self._depth += 1
        self.deepest = max(self.deepest, self._depth)

    def leave_selection_set(self, *_: Any) -> None:
        self._depth -= 1

    def enter_fragment_definition(self, node: FragmentDefinitionNode, *_: Any) -> None:
        self.plain = self.plain and not node.variable_definitions


class Operation:
    """One operation of a document, for one schema."""

    def __init__(
        self,
        schema: GraphQLSchema,
        converter: GraphQLCoreConverter,
        document: DocumentNode,
        node: OperationDefinitionNode,
        conditions: set[str],
    ) -> None:
        self.schema = schema
        self.converter = converter
        self.node = node
        definitions = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self.fragments = {name: FragmentDetails(each) for name, each in definitions.items()}
        self.facts = Facts(schema, node, definitions, Variables(schema, tuple(node.variable_definitions or ())))
        self._conditions = sorted(conditions)
        self._variants: OrderedDict[tuple[Any, ...], Variant] = OrderedDict()

    def prepare(self, context: Any, inputs: dict[str, Any] | None) -> Run | ExecutionResult | None:
        """A run on these variables; or what refuses them; None when a condition has no value (graphql-core tells)."""
        coerced = self.facts.variables.coerce(inputs or {})
        if isinstance(coerced, list):
            return ExecutionResult(None, coerced)
        values = tuple(coerced.get(name) for name in self._conditions)
        if None in values:
            return None
        variant = self._variants.get(values)
        if variant is None:
            variant = self._variants[values] = Variant(self, dict(zip(self._conditions, values, strict=True)))
            if len(self._variants) > MAX_VARIANTS:
                self._variants.popitem(last=False)
        return Run(self.facts, variant.root, context, inputs or {}, coerced)

    async def run(self, run: Run) -> ExecutionResult:
        """Execute: the root fields of a mutation one after the other, all else as it comes."""
        fields = run.root
        data = run.data
        assert data is not None
        if self.node.operation is OperationType.MUTATION:
            for field in fields:
                select(run, (field,), None, data, None)
                await run.drain()
                if run.data is None:
                    break
        else:
            select(run, fields, None, data, None)
            await run.drain()
        return ExecutionResult(run.data, run.errors or None)


class Variant:
    """An operation for one set of conditions."""

    def __init__(self, operation: Operation, conditions: dict[str, Any]) -> None:
        self.operation = operation
        self._conditions = VariableValues({}, conditions)
        root = operation.schema.get_root_type(operation.node.operation)
        assert root is not None
        collected = collect_fields(operation.schema, operation.fragments, self._conditions, root, operation.node)
        self.root = self._fields(root, collected.grouped_field_set)

    def subfields(self, type_: GraphQLObjectType, nodes: list[FieldNode]) -> list[Field]:
        """What these fields select of an object of the type."""
        operation = self.operation
        details = [FieldDetails(node, None) for node in nodes]
        collected = collect_subfields(
            operation.schema, operation.fragments, self._conditions, operation.node, type_, details
        )
        return self._fields(type_, collected.grouped_field_set)

    def _fields(self, type_: GraphQLObjectType, grouped: dict[str, list[FieldDetails]]) -> list[Field]:
        fields = []
        for key, details in grouped.items():
            nodes = [each.node for each in details]
            field = self.operation.schema.get_field(type_, nodes[0].name.value)
            if field is not None:
                fields.append(self._field(key, FieldInfo(field, nodes, type_)))
        return fields

    def _field(self, key: str, about: FieldInfo) -> Field:
        name = about.nodes[0].name.value
        slot = self._slot(about.field.type, about, f"{about.parent_type}.{name}")
        if name == "__typename":
            type_name = about.parent_type.name
            return key, lambda _source: type_name, None, slot
        read, call = compile_field(about, self.operation.converter)
        return key, read, call, slot

    def _slot(self, type_: GraphQLOutputType, about: FieldInfo, where: str) -> Slot:
        nullable = not isinstance(type_, GraphQLNonNull)
        inner: Any = type_ if nullable else type_.of_type  # type: ignore[union-attr]
        slot = Slot(nullable, about.nodes, where)
        if is_leaf_type(inner):
            slot.leaf = compile_leaf(inner)
        elif isinstance(inner, GraphQLList):
            slot.complete = complete_list(self._slot(inner.of_type, about, where), where)
        elif is_abstract_type(inner):
            slot.complete = complete_abstract(inner, slot, about, self.operation.schema, self.subfields)
        else:
            assert isinstance(inner, GraphQLObjectType)
            slot.complete = complete_object(inner, slot, about, self.subfields)
        return slot
