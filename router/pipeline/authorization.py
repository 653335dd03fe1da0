"""``@authenticated``, ``@requiresScopes`` and ``@policy``: decided before anything is planned or fetched.

A field that the caller may not read stays in the operation as a ``__typename`` under a marked response name. So the
planner fetches nothing for it and keeps its place in the answer; afterwards the mark becomes a member that is always
null, and null propagation does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from router.errors import RequestErrorCode
from router.executor.completion import Error
from router.operation.model import Field, InlineFragment, Operation, Selection
from router.pipeline.auth import Identity
from router.query_plan.nodes import Defer, QueryPlan, Shape, ShapeField
from router.supergraph.model import Authorization, Supergraph

MARK = "\0"
"""No GraphQL name holds it."""

Granted = tuple[bool, frozenset[str], frozenset[str]]
"""What an identity can do for this supergraph: whether it is signed in, its scopes and policies that matter."""


NOTHING: Granted = (False, frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Restricted:
    """An operation without what the caller may not read, and an error for each field left out."""

    operation: Operation
    errors: tuple[Error, ...] = ()
    root_denied: bool = False


class AuthorizationRules:
    """The supergraph's authorization directives."""

    def __init__(self, supergraph: Supergraph) -> None:
        self._supergraph = supergraph
        rules = list(_all_rules(supergraph))
        self._scopes = frozenset(scope for rule in rules for group in rule.scopes for scope in group)
        self._policies = frozenset(policy for rule in rules for group in rule.policies for policy in group)
        self.exist = bool(rules)

    @property
    def typical(self) -> tuple[Granted, ...]:
        """Plans worth having: for those who may read everything, for people without rights of their own, for
        strangers."""
        if not self.exist:
            return (NOTHING,)
        return tuple(dict.fromkeys(((True, self._scopes, self._policies), (True, frozenset(), frozenset()), NOTHING)))

    @property
    def have_policies(self) -> bool:
        """Whether anything depends on a policy."""
        return bool(self._policies)

    def granted(self, identity: Identity, policies: frozenset[str]) -> Granted:
        """What of an identity, and of the policies it fulfils, can change a plan: a part of the plan's key."""
        if not self.exist:
            return NOTHING
        return identity.subject is not None, identity.scopes & self._scopes, policies & self._policies

    def policies_of(self, operation: Operation) -> frozenset[str]:
        """The policies of all fields that an operation selects, on the ways that ``restrict`` takes."""
        walk = _Restriction(self._supergraph, (True, self._scopes, self._policies))
        for _ in walk.selections(operation.selections, (), in_list=False):
            continue
        return frozenset(walk.policies)

    def restrict(self, operation: Operation, granted: Granted) -> Restricted:
        """Take out of an operation what the caller may not read."""
        if not self.exist:
            return Restricted(operation)
        walk = _Restriction(self._supergraph, granted)
        selections = tuple(walk.selections(operation.selections, (), in_list=False))
        return Restricted(replace(operation, selections=selections), tuple(walk.errors), walk.root_denied)


def restore(plan: QueryPlan) -> QueryPlan:
    """The plan of a restricted operation, with marked members turned into members that are always null."""
    node = plan.node
    if isinstance(node, Defer):
        node = _restored_defer(node)
    return replace(plan, node=node, shape=_restored_shape(plan.shape))


def _restored_defer(node: Defer) -> Defer:
    parts = []
    for part in node.deferred:
        inner = _restored_defer(part.node) if isinstance(part.node, Defer) else part.node
        parts.append(replace(part, node=inner, shape=_restored_shape(part.shape)))
    return replace(node, deferred=tuple(parts))


def _restored_shape(shape: Shape) -> Shape:
    variants = tuple(replace(variant, fields=tuple(map(_restored, variant.fields))) for variant in shape.variants)
    return replace(shape, variants=variants)


def _restored(field: ShapeField) -> ShapeField:
    name, mark, type_ = field.response_name.partition(MARK)
    if mark:
        return ShapeField(name, MARK, type_)
    return replace(field, shape=_restored_shape(field.shape)) if field.shape is not None else field


def _all_rules(supergraph: Supergraph) -> Iterable[Authorization]:
    for type_ in supergraph.types.values():
        if type_.authorization is not None:
            yield type_.authorization
        for field in type_.fields.values():
            if field.authorization is not None:
                yield field.authorization


Groups = tuple[tuple[str, ...], ...]
_Normal = tuple[bool, frozenset[frozenset[str]], frozenset[frozenset[str]]]


def _normal(rule: Authorization) -> _Normal:
    return (
        rule.authenticated,
        _all_of([rule.scopes] if rule.scopes else []),
        _all_of([rule.policies] if rule.policies else []),
    )


def _all_of(rules: list[Groups]) -> frozenset[frozenset[str]]:
    """Several "any of these groups" as one: a choice from each, taken together; no group that holds another one."""
    if not rules:
        return frozenset()
    together = {frozenset().union(*choice) for choice in product(*rules)}
    return frozenset(group for group in together if not any(other < group for other in together))


class _Restriction:
    def __init__(self, supergraph: Supergraph, granted: Granted) -> None:
        self._supergraph = supergraph
        self._granted = granted
        self._reported: set[tuple[str, tuple[str, ...]]] = set()
        self.errors: list[Error] = []
        self.root_denied = False
        self.policies: set[str] = set()
        """Those that have been met."""

    def selections(self, selections: Iterable[Selection], path: tuple[str, ...], *, in_list: bool) -> list[Selection]:
        """``path`` ends at the first list: what is below has no single place in the answer."""
        made: list[Selection] = []
        for selection in selections:
            if isinstance(selection, InlineFragment):
                inner = tuple(self.selections(selection.selections, path, in_list=in_list))
                made.append(replace(selection, selections=inner))
            elif selection.name.startswith("__"):
                made.append(selection)
            else:
                made += self._field(selection, path, in_list=in_list)
        return made

    def _field(self, field: Field, path: tuple[str, ...], *, in_list: bool) -> list[Selection]:
        own_path = path if in_list else (*path, field.response_name)
        concrete = sorted(self._supergraph.possible_types.get(field.parent, frozenset((field.parent,))))
        allowed = [name for name in concrete if self._may_read(name, field)]
        if self._may_read(field.parent, field) and allowed == concrete:
            return [self._allowed(field, own_path, in_list=in_list)]
        self._deny(field, own_path, root=not path and not in_list)
        if not allowed or not self._may_read(field.parent, field):
            return [self._denied(field)]
        readable = self._allowed(field, own_path, in_list=in_list)
        return [
            InlineFragment(
                field.parent,
                name,
                (replace(readable if name in allowed else self._denied(field), parent=name),),
            )
            for name in concrete
            if not self._supergraph.types[name].inaccessible
        ]

    def _allowed(self, field: Field, path: tuple[str, ...], *, in_list: bool) -> Field:
        if not field.selections:
            return field
        definition = self._supergraph.field(field.parent, field.name)
        within = in_list or (definition is not None and "[" in definition.type)
        return replace(field, selections=tuple(self.selections(field.selections, path, in_list=within)))

    def _denied(self, field: Field) -> Field:
        definition = self._supergraph.field(field.parent, field.name)
        assert definition is not None
        return Field(field.parent, "__typename", f"{field.response_name}{MARK}{definition.type}")

    def _may_read(self, type_name: str, field: Field) -> bool:
        type_ = self._supergraph.types.get(type_name)
        definition = type_.fields.get(field.name) if type_ else None
        if type_ is None or definition is None:
            return True
        target = self._supergraph.types.get(definition.named_type)
        own = definition.authorization
        if own is not None and type_.is_abstract and _normal(own) == self._inherited(type_name, field.name):
            own = None
        rules = (type_.authorization, own, target.authorization if target else None)
        return all(rule is None or self._satisfied(rule) for rule in rules)

    def _inherited(self, interface: str, field_name: str) -> _Normal:
        """What an interface's field asks only because its object types do: there each type is judged by its own."""
        found = (self._supergraph.field(name, field_name) for name in self._supergraph.possible_types[interface])
        rules = [field.authorization for field in found if field is not None and field.authorization is not None]
        return (
            any(rule.authenticated for rule in rules),
            _all_of([rule.scopes for rule in rules if rule.scopes]),
            _all_of([rule.policies for rule in rules if rule.policies]),
        )

    def _satisfied(self, rule: Authorization) -> bool:
        signed_in, scopes, policies = self._granted
        self.policies.update(policy for group in rule.policies for policy in group)
        if rule.authenticated and not signed_in:
            return False
        if rule.scopes and not any(scopes.issuperset(group) for group in rule.scopes):
            return False
        return not rule.policies or any(policies.issuperset(group) for group in rule.policies)

    def _deny(self, field: Field, path: tuple[str, ...], *, root: bool) -> None:
        self.root_denied = self.root_denied or root
        coordinate = f"{field.parent}.{field.name}"
        if (coordinate, path) in self._reported:
            return
        self._reported.add((coordinate, path))
        signed_in = self._granted[0]
        code = RequestErrorCode.FORBIDDEN if signed_in else RequestErrorCode.UNAUTHENTICATED
        message = f'Not allowed to read "{coordinate}".' if signed_in else f'Sign in to read "{coordinate}".'
        self.errors.append({"message": message, "path": list(path), "extensions": {"code": code.value}})
