"""Walking the gathered data along a plan's paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from router.executor.source import Source
from router.query_plan.nodes import Items, Key, OnTypes, Path, Shape, ShapeField

Object = dict[str, Any]
DataPath = tuple[str | int, ...]
View = tuple[tuple[str, ...], Shape]
"""A part of the answer's shape, and the data keys that lead to where it begins."""


def write_walk(source: Source, path: Path) -> None:
    """Write lines that replace ``level``, a list of objects, by the objects that ``path`` leads to from them.

    Step by step over whole lists instead of nested loops: that is faster, and has no limit on depth. Values of
    another kind than the path expects are passed over.
    """
    for index, segment in enumerate(path):
        kind = "list" if index + 1 < len(path) and isinstance(path[index + 1], Items) else "dict"
        match segment:
            case Key(name):
                source.line(f"level = [v for o in level if type(v := o.get({name!r})) is {kind}]")
            case Items():
                source.line(f"level = [v for o in level for v in o if type(v) is {kind}]")
            case OnTypes(types):
                known = source.constant(types)
                source.line(f"level = [o for o in level if type(t := o.get('__typename')) is str and t in {known}]")


def walk_located(data: Any, path: Path, at: DataPath = ()) -> Iterator[tuple[Object, DataPath]]:
    """The same walk, telling where each object was found. Only for errors: it is slower."""
    if not path:
        if isinstance(data, dict):
            yield data, at
        return
    segment, rest = path[0], path[1:]
    match segment:
        case Key(name) if isinstance(data, dict):
            yield from walk_located(data.get(name), rest, (*at, name))
        case Items() if isinstance(data, list):
            for index, item in enumerate(data):
                yield from walk_located(item, rest, (*at, index))
        case OnTypes(types) if isinstance(data, dict):
            typename = data.get("__typename")
            if isinstance(typename, str) and typename in types:
                yield from walk_located(data, rest, at)


def response_path(views: Iterable[View], data: Any, path: DataPath) -> list[str | int]:
    """A path of data keys as the client knows it. It ends early where it enters what the client did not ask for."""
    found: list[str | int] = []
    walked: tuple[str, ...] = ()
    here = [shape for keys, shape in views if not keys]
    for step in path:
        if isinstance(step, int):
            found.append(step)
            data = data[step] if isinstance(data, list) and 0 <= step < len(data) else None
            continue
        members = [member for shape in here for member in _members(shape, data, step)]
        if not members:
            break
        found.append(members[0].response_name)
        walked = (*walked, step)
        here = [shape for keys, shape in views if keys == walked]
        here += [member.shape for member in members if member.shape is not None]
        data = data.get(step) if isinstance(data, dict) else None
    return found


def in_shape(shape: Shape, path: Iterable[str | int]) -> bool:
    """Whether a path of response names stays within a shape."""
    here = [shape]
    for name in path:
        if isinstance(name, str):
            members = [m for known in here for v in known.variants for m in v.fields if m.response_name == name]
            if not members:
                return False
            here = [member.shape for member in members if member.shape is not None]
    return True


def _members(shape: Shape, data: Any, key: str) -> list[ShapeField]:
    typename = data.get("__typename") if isinstance(data, dict) else None
    candidates = [variant for variant in shape.variants if typename in variant.types] or shape.variants
    return [field for variant in candidates for field in variant.fields if field.key == key]
