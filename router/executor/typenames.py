"""Putting the graph's type names in place of a subgraph's own."""

from __future__ import annotations

from collections.abc import Callable

from router.executor.paths import Object, write_walk
from router.executor.source import Source
from router.query_plan.nodes import TypenameRewrite


def compile_rewrites(rewrites: tuple[TypenameRewrite, ...]) -> Callable[[Object], None]:
    """A function that renames ``__typename`` values below one object of an answer, in place."""
    source = Source()
    with source.block("def rewrite(data):"):
        source.line("pass")
        for entry in rewrites:
            names = source.constant(dict(entry.names))
            source.line("level = [data]")
            write_walk(source, entry.path)
            with source.block("for o in level:"):
                source.line("t = o.get('__typename')")
                source.line(f"if type(t) is str and t in {names}: o['__typename'] = {names}[t]")
    return source.function("rewrite")
