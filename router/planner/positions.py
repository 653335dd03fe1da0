"""Places in the data tree, and under which data key each field lies there.

A client's fields take their response names. Where one object would hold two different fields under one name, the
later comer gets an internal alias; members of keys and ``@requires`` sets use what is there already.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from router.operation.model import Argument


@dataclass(eq=False, slots=True)
class Slot:
    """One field, with its arguments, at one position. ``key`` is its data key.

    ``type_keys``: other data keys for some object types, because their type for the field cannot share a subgraph
    document with the others' (GraphQL, "Field Selection Merging").
    """

    position: Position
    name: str
    arguments: tuple[Argument, ...]
    key: str
    child: Position
    type_keys: dict[str, str] = field(default_factory=dict)
    _keys_by_form: dict[str, str] = field(default_factory=dict)

    def key_for(self, types: frozenset[str], form: str) -> str:
        """The data key when selected for these types, where the field's type has this form in the subgraph."""
        for type_name in types:
            if type_name in self.type_keys:
                return self.type_keys[type_name]
        if form not in self._keys_by_form:
            self._keys_by_form[form] = self.position.free_key(self.key) if self._keys_by_form else self.key
        key = self._keys_by_form[form]
        for type_name in types:
            self.type_keys[type_name] = key
        return key


@dataclass(eq=False, slots=True)
class Position:
    """All objects at one path of the data. ``slots`` by data key.

    No field may lie where objects tell their type, though a client may call one so.
    """

    slots: dict[str, Slot] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=lambda: {"__typename"})

    def client_slot(self, response_name: str, name: str, arguments: tuple[Argument, ...]) -> Slot:
        """The slot of a client's field; the same for the same response name, field and arguments."""
        for slot in self.slots.values():
            same_field = slot.name == name and slot.arguments == arguments
            if same_field and (slot.key == response_name or slot.key.startswith(f"{response_name}__")):
                return slot
        return self._add(response_name, name, arguments)

    def slot(self, name: str, arguments: tuple[Argument, ...]) -> Slot:
        """The slot of a field the planner needs, whatever the client calls it."""
        for slot in self.slots.values():
            if slot.name == name and slot.arguments == arguments:
                return slot
        return self._add(name, name, arguments)

    def _add(self, wish: str, name: str, arguments: tuple[Argument, ...]) -> Slot:
        slot = Slot(self, name, arguments, self.free_key(wish), Position())
        self.slots[slot.key] = slot
        return slot

    def free_key(self, wish: str) -> str:
        """The wished data key, or one like it that no field here has. Taken from now on."""
        key, number = wish, 0
        while key in self._taken:
            number += 1
            key = f"{wish}__{number}"
        self._taken.add(key)
        return key
