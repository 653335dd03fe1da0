"""Representations for ``_entities``: collected from the data, each one sent once (Federation subgraph specification).

Keys that are plain leaves, nearly all there are, get compiled source. Everything else (nested keys, required
lists, leaves that turn out to be unhashable) goes the general way, which gives the same answer more slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router.executor.json_bytes import write_json
from router.executor.paths import Object, write_walk
from router.executor.source import Source
from router.query_plan.nodes import EntityFetch, Path, RepresentationField, RepresentationSelection

Targets = list[list[list[Object]]]
"""For each representation the objects it came from, those of one path together."""

Collect = Callable[[Object], tuple[list[Object], Targets]]
"""Data to representations and their targets."""

_MISSING: Any = object()


class _Incomplete(Exception):
    """The data lack something that the entity cannot be fetched without."""


def compile_collect(fetch: EntityFetch) -> Collect:
    """How to gather one entity fetch's representations."""
    general = _general_collect(fetch)
    if not _is_flat(fetch.representations):
        return general
    flat = _flat_collect(fetch)

    def collect(data: Object) -> tuple[list[Object], Targets]:
        try:
            return flat(data)
        except TypeError:  # an unhashable leaf
            return general(data)

    return collect


# --- compiled -----------------------------------------------------------------------------------------------------


def _is_flat(selections: tuple[RepresentationSelection, ...]) -> bool:
    seen: set[str] = set()
    for selection in selections:
        if selection.types is None:
            if len(selections) > 1:
                return False
        elif seen & selection.types:
            return False
        else:
            seen |= selection.types
        if any(field.selections for field in selection.fields):
            return False
    return True


def _flat_collect(fetch: EntityFetch) -> Collect:
    source = Source(missing=_MISSING)
    with source.block("def collect(data):"):
        source.line("representations = []; targets = []; seen = {}")
        for path in fetch.paths:
            source.line("level = [data]; here = {}")
            write_walk(source, path)
            with source.block("for o in level:"):
                source.line("t = o.get('__typename')")
                for selection in fetch.representations:
                    _write_selection(source, selection)
        source.line("return representations, targets")
    return source.function("collect")


def _write_selection(source: Source, selection: RepresentationSelection) -> None:
    if selection.types is None:
        condition = "type(t) is str" if selection.typename == "" else "True"
    elif len(selection.types) == 1:
        condition = f"t == {next(iter(selection.types))!r}"
    else:
        condition = f"t in {source.constant(selection.types)}"
    with source.block(f"if {condition}:"):
        names = []
        for field in selection.fields:
            name = source.fresh("v")
            names.append(name)
            if field.required:
                source.line(f"{name} = o.get({field.key!r})")
                source.line(f"if {name} is None: continue")
            else:
                source.line(f"{name} = o.get({field.key!r}, missing)")
                source.line(f"if {name} is missing: continue")
        members = [f"{field.name!r}: {name}" for field, name in zip(selection.fields, names, strict=True)]
        typename = {None: None, "": "t"}.get(selection.typename, repr(selection.typename))
        if typename is not None:
            members.insert(0, f"'__typename': {typename}")
        source.line(f"key = ({', '.join([typename or 'None', *names])},)")
        source.line("group = here.get(key)")
        with source.block("if group is not None:"):
            source.line("group.append(o)")
            source.line("continue")
        source.line("here[key] = group = [o]")
        source.line("n = seen.get(key)")
        with source.block("if n is None:"):
            source.line("seen[key] = len(representations)")
            source.line(f"representations.append({{{', '.join(members)}}})")
            source.line("targets.append([group])")
        with source.block("else:"):
            source.line("targets[n].append(group)")
        source.line("continue")


# --- general ------------------------------------------------------------------------------------------------------


def _general_collect(fetch: EntityFetch) -> Collect:
    walks = [_compile_walk(path) for path in fetch.paths]

    def collect(data: Object) -> tuple[list[Object], Targets]:
        representations: list[Object] = []
        targets: Targets = []
        seen: dict[bytes, int] = {}
        for walk in walks:
            here: dict[bytes, list[Object]] = {}
            for found in walk(data):
                try:
                    representation = build(found, fetch.representations)
                except _Incomplete:
                    continue
                if representation is None:
                    continue
                key = write_json(representation)
                if key in here:
                    here[key].append(found)
                    continue
                here[key] = [found]
                if key in seen:
                    targets[seen[key]].append(here[key])
                else:
                    seen[key] = len(representations)
                    representations.append(representation)
                    targets.append([here[key]])
        return representations, targets

    return collect


def _compile_walk(path: Path) -> Callable[[Object], list[Object]]:
    source = Source()
    with source.block("def walk(data):"):
        source.line("level = [data]")
        write_walk(source, path)
        source.line("return level")
    return source.function("walk")


def build(data: Object, selections: tuple[RepresentationSelection, ...]) -> Object | None:
    """The object's representation, None where no selection is meant for its type. Raises _Incomplete."""
    made: Object | None = None
    own = data.get("__typename")
    for selection in selections:
        if selection.types is not None and not (isinstance(own, str) and own in selection.types):
            continue
        if made is None:
            made = {}
        if selection.typename == "":
            if not isinstance(own, str):
                raise _Incomplete
            made["__typename"] = own
        elif selection.typename is not None:
            made["__typename"] = selection.typename
        for field in selection.fields:
            made[field.name] = _member(data, field)
    return made


def _member(data: Object, field: RepresentationField) -> Any:
    value = data.get(field.key, _MISSING)
    if value is _MISSING or (value is None and field.required):
        raise _Incomplete
    return _nested(value, field.selections) if field.selections else value


def _nested(value: Any, selections: tuple[RepresentationSelection, ...]) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_nested(item, selections) for item in value]
    if not isinstance(value, dict):
        raise _Incomplete
    return build(value, selections) or {}
