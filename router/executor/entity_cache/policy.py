"""How long a selection may be kept, and for whom: the strictest of everything in it.

The rules are those of ``@cacheControl``: a field's own hint, else its type's; a composite field without either may
not be kept at all, a leaf as long as its parent. What an authorization directive guards is private whatever the hints
say, and so is what contains it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode

from router.executor.entity_cache.hints import Hint, Hints
from router.supergraph.model import FieldDefinition, Supergraph, TypeDefinition


@dataclass(frozen=True, slots=True)
class Policy:
    """``max_age`` in seconds, 0: not to be kept. ``private``: only for the caller it was fetched for."""

    max_age: int
    private: bool = False

    def with_(self, other: Policy) -> Policy:
        """The stricter of both in each respect."""
        return Policy(min(self.max_age, other.max_age), self.private or other.private)


NOT_KEPT = Policy(0)


class Policies:
    """The policies of selections of one supergraph; no age is over ``longest`` seconds."""

    def __init__(self, supergraph: Supergraph, hints: Hints, longest: int) -> None:
        self._supergraph = supergraph
        self._hints = hints
        self._longest = longest

    def of_entity(self, type_name: str, selections: SelectionSetNode) -> Policy:
        """The policy of an entity of this type: it begins with the type's own hint."""
        own = self._of_hint(self._type_hint(type_name), None)
        if own is None:
            return NOT_KEPT
        guarded = self._guarded(self._supergraph.types.get(type_name))
        return self._of_selections(type_name, selections, Policy(own.max_age, own.private or guarded), type_name)

    def of_root(self, type_name: str, selections: SelectionSetNode) -> Policy:
        """The policy of a root type's selection as a whole."""
        return self._of_selections(type_name, selections, Policy(self._longest), None, root=True)

    def _of_selections(
        self, type_name: str, node: SelectionSetNode, parent: Policy, concrete: str | None, *, root: bool = False
    ) -> Policy:
        """``concrete``: fragments on other object types do not apply."""
        result = parent
        for selection in node.selections:
            if isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition.name.value if selection.type_condition else type_name
                if concrete is None or self._applies(condition, concrete):
                    inner = self._of_selections(condition, selection.selection_set, parent, concrete, root=root)
                    result = result.with_(inner)
            elif isinstance(selection, FieldNode):
                result = result.with_(self._of_field(type_name, selection, parent, root=root))
            else:
                return NOT_KEPT
        return result

    def _of_field(self, type_name: str, node: FieldNode, parent: Policy, *, root: bool) -> Policy:
        name = node.name.value
        if name == "__typename":
            return parent
        definition = self._supergraph.field(type_name, name)
        if definition is None:
            return NOT_KEPT
        policy = self._own(type_name, definition, parent, root=root)
        if policy is None:
            return NOT_KEPT
        if node.selection_set is None:
            return policy
        return self._of_selections(definition.named_type, node.selection_set, policy, None)

    def _own(self, type_name: str, definition: FieldDefinition, parent: Policy, *, root: bool) -> Policy | None:
        target = self._supergraph.types.get(definition.named_type)
        private = parent.private or self._guarded_field(type_name, definition)
        found = [self._hints.fields.get(f"{name}.{definition.name}") for name in self._with_possible(type_name)]
        hints = [hint for hint in found if hint is not None]
        private = private or any(hint.private for hint in hints)
        aged = [hint for hint in hints if hint.max_age is not None or hint.inherit]
        if not aged and target is not None and target.is_composite:
            type_hint = self._type_hint(definition.named_type)
            aged = [type_hint] if type_hint is not None else []
        if not aged:
            leaf = not root and (target is None or not target.is_composite)
            return Policy(parent.max_age, private) if leaf else None
        own = Policy(self._longest, private)
        for hint in aged:
            policy = self._of_hint(hint, parent)
            if policy is None:
                return None
            own = own.with_(policy)
        # A part is never kept longer than the whole: they are one entry.
        return own.with_(parent)

    def _of_hint(self, hint: Hint | None, parent: Policy | None) -> Policy | None:
        if hint is None:
            return None
        if hint.max_age is not None:
            return Policy(min(hint.max_age, self._longest), hint.private)
        return Policy(parent.max_age, hint.private) if hint.inherit and parent is not None else None

    def _type_hint(self, type_name: str) -> Hint | None:
        return self._hints.types.get(type_name)

    def _guarded_field(self, type_name: str, definition: FieldDefinition) -> bool:
        found = (self._supergraph.field(name, definition.name) for name in self._with_possible(type_name))
        if any(field is not None and field.authorization is not None for field in found):
            return True
        names = self._with_possible(definition.named_type)
        return any(self._guarded(self._supergraph.types.get(name)) for name in names)

    def _guarded(self, type_: TypeDefinition | None) -> bool:
        return type_ is not None and type_.authorization is not None

    def _with_possible(self, type_name: str) -> Iterable[str]:
        return {type_name} | self._supergraph.possible_types.get(type_name, frozenset())

    def _applies(self, condition: str, concrete: str) -> bool:
        return condition == concrete or concrete in self._supergraph.possible_types.get(condition, frozenset())
