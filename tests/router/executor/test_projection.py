"""Completing values: order, aliases, null propagation, hidden values and types, leaf kinds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.executor.completion import complete
from router.executor.projection import compile_projection
from router.query_plan.nodes import Shape, ShapeField, ShapeVariant
from tests.router.executor.support import field, shape


def project(root: Shape, data: Any, errors: list[Any] | None = None) -> tuple[Any, list[Any]]:
    found = errors or []
    return compile_projection(root)(data, found), found


def one(type_: str, value: Any, **options: Any) -> tuple[Any, list[Any]]:
    """The data and the paths of errors for a single member ``f`` of the root."""
    data, errors = project(shape("Query", ShapeField("f", "f", type_, **options)), {"f": value})
    return data, [error["path"] for error in errors]


@pytest.mark.parametrize(
    ("type_", "value", "written"),
    [
        ("Int", 3, 3),
        ("Int", 3.0, 3),
        ("Float", 3, 3),
        ("Float!", 2.5, 2.5),
        ("String", "x", "x"),
        ("Boolean!", False, False),
        ("ID", 7, "7"),
        ("ID!", "7", "7"),
        ("Json", {"any": ["thing"]}, {"any": ["thing"]}),
        ("[Int]", [1, None], [1, None]),
        ("[[ID!]!]", [[1], []], [["1"], []]),
        ("[String]", None, None),
        ("Int", None, None),
    ],
)
def test_values_that_fit(type_: str, value: Any, written: Any) -> None:
    """They are written as they are; numbers that are ids become text."""
    assert one(type_, value) == ({"f": written}, [])


@pytest.mark.parametrize(
    ("type_", "value", "data", "path"),
    [
        ("Int", "3", {"f": None}, ["f"]),
        ("Int", True, {"f": None}, ["f"]),
        ("Int", 2**31, {"f": None}, ["f"]),
        ("Int", 1.5, {"f": None}, ["f"]),
        ("Float", "1", {"f": None}, ["f"]),
        ("Float", True, {"f": None}, ["f"]),
        ("String", 1, {"f": None}, ["f"]),
        ("Boolean", 1, {"f": None}, ["f"]),
        ("ID", True, {"f": None}, ["f"]),
        ("String", ["x"], {"f": None}, ["f"]),
        ("[Int]", 1, {"f": None}, ["f"]),
        ("[Int]", {"0": 1}, {"f": None}, ["f"]),
        ("[Int]", [1, "x"], {"f": [1, None]}, ["f", 1]),
        ("[Int!]", [1, None], {"f": None}, ["f", 1]),
        ("[[Int!]!]", [[1], [None]], {"f": None}, ["f", 1, 0]),
        ("Int!", None, None, ["f"]),
        ("Int!", "x", None, ["f"]),
    ],
)
def test_values_that_do_not_fit(type_: str, value: Any, data: Any, path: list[Any]) -> None:
    """Null at the nearest place that may be null, and one error where the value stood."""
    assert one(type_, value) == (data, [path])


def test_a_hidden_enum_value_is_null_with_an_error() -> None:
    """The API schema's values pass, no other does, of whatever type it is."""
    values = frozenset(("A", "B"))
    assert one("E", "A", enum_values=values) == ({"f": "A"}, [])
    strangers: list[Any] = ["C", 1, ["A"], {}]
    for hidden in strangers:
        assert one("E", hidden, enum_values=values) == ({"f": None}, [["f"]])
    assert one("[E!]", ["A", "C"], enum_values=values) == ({"f": None}, [["f", 1]])


A = ShapeVariant(frozenset(("A", "A2")), (ShapeField("t", "__typename", "String!"), field("x", "Int")))
B = ShapeVariant(frozenset(("B",)), (ShapeField("t", "__typename", "String!", "B"), field("x", "String", key="x_1")))


def test_abstract_types_have_the_members_of_their_object_type() -> None:
    """Data keys may differ by type; a hidden type is null; an unknown one is an error."""
    root = shape("Query", field("items", "[I]", Shape(True, (A, B))))
    items = [{"__typename": "A2", "x": 1}, {"__typename": "B", "x_1": "one"}, {"__typename": "Hidden"}]
    data, errors = project(root, {"items": items})
    assert (data, errors) == ({"items": [{"t": "A2", "x": 1}, {"t": "B", "x": "one"}, None]}, [])
    strangers: list[Any] = [{}, {"__typename": None}, {"__typename": ["A"]}, 1, []]
    for unknown in strangers:
        data, errors = project(root, {"items": [unknown]})
        assert data == {"items": [None]}
        assert [error["path"] for error in errors] == [["items", 0]]


def test_a_hidden_type_in_a_non_null_position_takes_its_parent_along() -> None:
    """The list of non-null items becomes null, with an error."""
    data, errors = project(shape("Query", field("items", "[I!]", Shape(True, (A,)))), {"items": [{"__typename": "H"}]})
    assert data == {"items": None}
    assert errors[0]["path"] == ["items", 0]


def test_an_entity_that_an_error_took_away_is_explained_by_it() -> None:
    """A subgraph nulls a whole entity for one field: the others are not said to be wrong. Elsewhere they are."""
    user = shape("User", field("name", "String!"), field("roles", "[String!]!"))
    root = shape("Query", ShapeField("user", "user", "User", shape=user), ShapeField("me", "me", "User", shape=user))
    refused = {"message": "not yours", "path": ["user", "roles"]}
    data, errors = project(root, {"user": {}, "me": None}, [refused])
    assert (data, errors) == ({"user": None, "me": None}, [refused])
    data, errors = project(root, {"user": {}, "me": {}}, [refused])
    assert [error["path"] for error in errors] == [["user", "roles"], ["me", "name"]]


def test_a_null_that_a_subgraph_has_explained_gets_no_second_error() -> None:
    """The subgraph's error stays the only one; an unrelated one does not silence a new one."""
    root = shape("Query", field("a", "T", shape("T", field("b", "Int!"))))
    for path, count in ((["a", "b"], 1), (["a"], 1), ([], 1), (["z"], 2)):
        data, errors = project(root, {"a": {"b": None}}, [{"message": "m", "path": path}])
        assert (data, len(errors)) == ({"a": None}, count)


# --- the two ways agree, whatever the data --------------------------------------------------------------------------

LEAVES = ["Int", "Float", "String", "Boolean", "ID", "Json"]


@st.composite
def types(draw: st.DrawFn, name: str) -> str:
    text = name
    for _ in range(draw(st.integers(0, 2))):
        text = f"[{text}{draw(st.sampled_from(['', '!']))}]"
    return text + draw(st.sampled_from(["", "!"]))


@st.composite
def shapes(draw: st.DrawFn, depth: int = 3) -> Shape:
    abstract = draw(st.booleans())
    variants = []
    for type_name in ("A", "B") if abstract else ("A",):
        fields = []
        for name in ("f", "g", "h")[: draw(st.integers(0, 3))]:
            kind = draw(st.sampled_from(["leaf", "enum", "typename", "object"] if depth else ["leaf", "enum"]))
            if kind == "leaf":
                fields.append(ShapeField(name, name, draw(types(draw(st.sampled_from(LEAVES))))))
            elif kind == "enum":
                fields.append(ShapeField(name, name, draw(types("E")), enum_values=frozenset(("X", "Y"))))
            elif kind == "typename":
                fields.append(ShapeField(name, "__typename", "String!", draw(st.sampled_from([None, type_name]))))
            else:
                fields.append(ShapeField(name, name, draw(types("T")), shape=draw(shapes(depth - 1))))
        variants.append(ShapeVariant(frozenset((type_name,)), tuple(fields)))
    return Shape(abstract, tuple(variants))


leaves = st.none() | st.booleans() | st.integers(-5, 2**31) | st.floats(allow_nan=False) | st.sampled_from("XZ")
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {"__typename": st.sampled_from(["A", "B"]) | leaves}, optional=dict.fromkeys("fgh", inner)
        )
    ),
    max_leaves=12,
)
objects = st.fixed_dictionaries({"__typename": st.sampled_from(["A", "B", "C"])}, optional=dict.fromkeys("fgh", values))


@given(shapes(), objects)
def test_compiled_and_careful_completion_agree(root: Shape, data: dict[str, Any]) -> None:
    """For any shape and any data: the same answer, the same errors, nothing raised, no null where none may be."""
    errors: list[Any] = []
    answer = compile_projection(root)(data, errors)
    careful: list[Any] = []
    assert answer == complete(root, data, careful)
    assert errors == careful
    if answer is not None:
        assert _conforms(root, answer)


def _conforms(root: Shape, answer: dict[str, Any]) -> bool:
    return any(
        list(answer) == [member.response_name for member in variant.fields]
        and all(_fits(member.type, member, answer[member.response_name]) for member in variant.fields)
        for variant in root.variants
    )


def _fits(type_: str, member: ShapeField, value: Any) -> bool:
    if type_.endswith("!"):
        return value is not None and _fits(type_[:-1], member, value)
    if value is None:
        return True
    if type_.startswith("["):
        return isinstance(value, list) and all(_fits(type_[1:-1], member, item) for item in value)
    return _conforms(member.shape, value) if member.shape else True
