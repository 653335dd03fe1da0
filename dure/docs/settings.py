"""``docs/settings.md``: every setting of every part, from the classes that read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from db.vault import VaultSettings
from dure import subgraphs
from dure.docs.markdown import page as markdown
from dure.docs.markdown import table
from dure.secrets import MAKERS
from dure.settings import ROOT
from dure.settings import Settings as DureSettings
from router.settings import Settings as RouterSettings

Row = tuple[str, str, str]


def page() -> str:
    """Every environment variable, its default and its meaning."""
    own = {name: import_module(f"subgraphs.{name}.settings").Settings for name in subgraphs.ALL}
    return markdown(
        "Settings",
        "Every setting is an environment variable. Where the default is empty there is none; lists and mappings are "
        "written in JSON, spans of time in ISO 8601 (`PT10M`) or seconds. Secrets are never shown: those marked "
        "*generated* are made at the first start and kept in `secrets.json` in the data folder, readable by its owner "
        "only, unless the environment gives them.",
        "## The process and what all subgraphs share",
        _section(DureSettings),
        _section(VaultSettings),
        *(block for name, each in own.items() for block in (f"## {name}", _section(each))),
        "## The router",
        "The router alone (`python -m router serve`) also reads these from a file (`--config`); the environment wins. "
        "Inside dure, `dev`, the claims secret, the tokens' issuer and the subgraphs' URLs come from the settings "
        "above.",
        _section(RouterSettings),
    )


def _section(settings: type[BaseSettings]) -> str:
    return table(("variable", "default", "meaning"), rows(settings, str(settings.model_config["env_prefix"])))


def rows(model: type[BaseModel], prefix: str) -> Iterator[Row]:
    """A row a setting, those of nested models by their full names."""
    for name, field in model.model_fields.items():
        variable = prefix + name.upper()
        inner = _nested(field.annotation)
        if inner is None:
            yield f"`{variable}`", _default(variable, field), field.description or ""
        else:
            some = "__<NAME>" if get_origin(field.annotation) is dict else ""
            yield from rows(inner, f"{variable}{some}__")


def _nested(annotation: Any) -> type[BaseModel] | None:
    candidate = get_args(annotation)[-1] if get_origin(annotation) is dict else annotation
    return candidate if isinstance(candidate, type) and issubclass(candidate, BaseModel) else None


def _default(variable: str, field: FieldInfo) -> str:
    if SecretStr in (field.annotation, *get_args(field.annotation)):
        return "*secret, generated*" if variable in MAKERS else "*secret*"
    value = field.get_default(call_default_factory=True)
    if field.is_required() or value is None:
        return ""
    if isinstance(value, Path) and value.is_relative_to(ROOT):
        value = value.relative_to(ROOT)
    plain = TypeAdapter[Any](field.annotation or Any).dump_python(value, mode="json")
    return f"`{plain if isinstance(plain, str) else json.dumps(plain)}`"
