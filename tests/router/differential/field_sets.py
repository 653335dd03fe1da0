"""Random field sets for ``@requires`` and ``@provides``; what they name is declared external on the way."""

from __future__ import annotations

from random import Random

from tests.router.differential.blueprint import FieldSpec, ObjectSpec, World


def draw_required(random: Random, world: World, spec: ObjectSpec, owner: str) -> str:
    """What a field of ``spec`` in ``owner`` may require; empty if there is nothing to require."""
    marks: list[FieldSpec] = []
    return _marked(_draw(random, world, spec, owner, 2, marks, own=False), marks, owner)


def draw_provided(random: Random, world: World, target: str, owner: str) -> str:
    """What a field in ``owner`` that returns ``target`` may provide."""
    marks: list[FieldSpec] = []
    if target in world.objects:
        spec = world.objects[target]
        text = _draw(random, world, spec, owner, 1, marks, own=False, scalars=True) if spec.keys else ""
        return _marked(text, marks, owner)
    parts = []
    for member in world.possible(target, owner):
        spec = world.objects[member]
        if owner in spec.keys and random.random() < 0.5:
            inner = _draw(random, world, spec, owner, 0, marks, own=False, scalars=True)
            parts += [f"... on {member} {{ {inner} }}"] if inner else []
    return _marked(" ".join(parts), marks, owner)


def _marked(text: str, marks: list[FieldSpec], owner: str) -> str:
    """Declare external what a finished field set names."""
    for f in marks if text else ():
        f.external.add(owner)
    return text


def _draw(
    random: Random,
    world: World,
    spec: ObjectSpec,
    owner: str,
    depth: int,
    marks: list[FieldSpec],
    *,
    own: bool,
    scalars: bool = False,
) -> str:
    options = [f for f in spec.fields.values() if _usable(world, spec, f, owner, own, scalars, depth)]
    parts = []
    for f in random.sample(options, min(len(options), random.randint(1, 2))):
        text = f.name + (_literals(random, f.arguments) if f.arguments else "")
        if f.composite:
            inner = _inner(random, world, f.inner, owner, depth - 1, marks, scalars)
            if not inner:
                continue
            text += f" {{ {inner} }}"
        if owner not in f.owners:
            marks.append(f)
        parts.append(text)
    return " ".join(parts)


def _usable(world: World, spec: ObjectSpec, f: FieldSpec, owner: str, own: bool, scalars: bool, depth: int) -> bool:
    key = " ".join(key.fields for key in spec.keys.get(owner, [])).split()
    if f.name in key and not own:
        return False
    if (owner in f.owners and not own) or (f.override and f.override.loser == owner):
        return False
    if f.requires and (scalars or owner in f.owners):
        return False
    if scalars and (f.arguments or f.composite):
        return False
    return not f.composite or (depth > 0 and world.knows(owner, f.inner))


def _inner(
    random: Random, world: World, target: str, owner: str, depth: int, marks: list[FieldSpec], scalars: bool
) -> str:
    spec = world.abstract(target)
    if spec is None:
        return _draw(random, world, world.objects[target], owner, depth, marks, own=True, scalars=scalars)
    parts = ["__typename"] if spec.object_in == owner or random.random() < 0.4 else []
    for member in spec.members.get(owner, []):
        inner = _draw(random, world, world.objects[member], owner, 0, marks, own=True, scalars=scalars)
        parts += [f"... on {member} {{ {inner} }}"] if inner else []
    return " ".join(parts)


def _literals(random: Random, arguments: str) -> str:
    """Arguments for a field inside a field set."""
    if "x: Int!" in arguments:
        return f"(x: {random.randint(1, 3)})"
    if "x: Int" in arguments:
        return random.choice(("", f"(x: {random.randint(1, 3)})"))
    if "filter" in arguments:
        return random.choice(("", '(filter: {text: "in", inner: {count: 1}})'))
    return random.choice(("", "(color: RED, list: [1, 2])"))
