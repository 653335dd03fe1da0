"""From gathered data to the client's ``data``: compiled for the answer that fits its types.

The compiled code knows no errors. It stops at the first value that does not fit, and the answer is then completed
with care by :mod:`router.executor.completion`. So the common case pays for no paths and no null propagation.

"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router.executor import leaves
from router.executor.completion import Error, complete
from router.executor.leaves import Unfit
from router.executor.source import Source
from router.executor.type_ref import TypeRef, parse_type
from router.query_plan.nodes import Shape, ShapeField, ShapeVariant

Project = Callable[[dict[str, Any], list[Error]], dict[str, Any] | None]

_CHECKS = {
    "String": "type({v}) is not str",
    "ID": "type({v}) is not str",
    "Int": f"type({{v}}) is not int or not {leaves.MIN_INT} <= {{v}} <= {leaves.MAX_INT}",
    "Float": "type({v}) is not float",
    "Boolean": "{v} is not True and {v} is not False",
}


def compile_projection(shape: Shape) -> Project:
    """A function from data and the subgraphs' errors to the client's data; errors found are added to the list."""
    fast = _Writer().compile(shape)

    def project(data: dict[str, Any], errors: list[Error]) -> dict[str, Any] | None:
        try:
            made: dict[str, Any] = fast(data)
            return made
        except (Unfit, KeyError, TypeError):
            return complete(shape, data, errors)

    return project


class _Writer:
    """Writes one function a shape, and one a list type."""

    def __init__(self) -> None:
        self._source = Source(Unfit=Unfit)
        self._functions: dict[int, str] = {}
        self._pending: list[tuple[str, Shape]] = []

    def compile(self, shape: Shape) -> Callable[[Any], Any]:
        root = self._shape(shape)
        while self._pending:
            self._write_shape(*self._pending.pop())
        return self._source.function(root)

    def _shape(self, shape: Shape) -> str:
        name = self._functions.get(id(shape))
        if name is None:
            name = self._functions[id(shape)] = self._source.fresh("p")
            self._pending.append((name, shape))
        return name

    def _write_shape(self, name: str, shape: Shape) -> None:
        source = self._source
        lists = {id(field): self._list(field) for variant in shape.variants for field in variant.fields}
        with source.block(f"def {name}(o):"):
            source.line("if type(o) is not dict: raise Unfit")
            if not shape.abstract and len(shape.variants) == 1:
                self._write_members(shape.variants[0], lists)
                return
            source.line("t = o['__typename']")
            for variant in shape.variants:
                with source.block(f"if t in {source.constant(variant.types)}:"):
                    self._write_members(variant, lists)
            source.line("raise Unfit")

    def _write_members(self, variant: ShapeVariant, lists: dict[int, str | None]) -> None:
        members = []
        for field in variant.fields:
            if field.constant is not None:
                members.append(f"{field.response_name!r}: {field.constant!r}")
                continue
            value = self._source.fresh("v")
            self._write_member(value, field, lists[id(field)])
            members.append(f"{field.response_name!r}: {value}")
        self._source.line(f"return {{{', '.join(members)}}}")

    def _write_member(self, value: str, field: ShapeField, list_function: str | None) -> None:
        source, type_ = self._source, parse_type(field.type)
        source.line(f"{value} = o.get({field.key!r})" if type_.nullable else f"{value} = o[{field.key!r}]")
        made = self._made(value, type_, field, list_function)
        if list_function is None and field.shape is None and field.enum_values is None and type_.name in _CHECKS:
            also = f"{value} is not None and " if type_.nullable else ""
            source.line(f"if {also}({_CHECKS[type_.name].format(v=value)}): {value} = {made}")
        elif made != value:
            source.line(f"if {value} is not None: {value} = {made}" if type_.nullable else f"{value} = {made}")
        elif not type_.nullable:
            source.line(f"if {value} is None: raise Unfit")

    def _made(self, value: str, type_: TypeRef, field: ShapeField, list_function: str | None) -> str:
        """The expression that turns a value, not null, into the client's."""
        if list_function is not None:
            return f"{list_function}({value})"
        if field.shape is not None:
            return f"{self._shape(field.shape)}({value})"
        coerce = leaves.leaf(type_.name, field.enum_values)
        return value if coerce is leaves.any_ else f"{self._source.constant(coerce)}({value})"

    def _list(self, field: ShapeField) -> str | None:
        """Write the functions of a list type, innermost first; the name of the outermost, None for other types."""
        type_ = parse_type(field.type)
        levels: list[TypeRef] = []
        while type_.item is not None:
            levels.append(type_)
            type_ = type_.item
        name: str | None = None
        for level in reversed(levels):
            name = self._write_list(level, field, name)
        return name

    def _write_list(self, type_: TypeRef, field: ShapeField, inner: str | None) -> str:
        assert type_.item is not None
        source, name = self._source, self._source.fresh("l")
        made = self._made("i", type_.item, field, inner)
        with source.block(f"def {name}(v):"):
            source.line("if type(v) is not list: raise Unfit")
            if type_.item.nullable:
                source.line("return v" if made == "i" else f"return [None if i is None else {made} for i in v]")
            else:
                if made == "i":
                    source.line("if None in v: raise Unfit")
                source.line("return v" if made == "i" else f"return [{made} for i in v]")
        return name
