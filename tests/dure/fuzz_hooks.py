"""What schemathesis is told of our graph: values of its scalars, and what counts as a server error.

Loaded by schemathesis itself (``SCHEMATHESIS_HOOKS``). ``FUZZ_IDS`` names a file with ids that exist, one a line.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson
import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes, scalar

from tests.dure.fuzz_hostile import DATES, LARGE, NUMBERS, TEXTS, TIMES, server_error
from tests.dure.fuzz_values import given, learn, with_variables

KNOWN = Path(os.environ["FUZZ_IDS"]).read_text().split() if "FUZZ_IDS" in os.environ else []
learn(KNOWN)
TEXT = st.text(max_size=40) | st.sampled_from(TEXTS)
IDS = st.sampled_from(KNOWN or ["x"])

scalar("ID", IDS.map(nodes.String) | TEXT.map(nodes.String) | st.integers(-LARGE, LARGE).map(nodes.Int))
scalar("String", TEXT.map(nodes.String))
scalar("Int", (st.integers(-1, 101) | st.sampled_from((LARGE, -LARGE - 1)) | st.integers(-LARGE, LARGE)).map(nodes.Int))
scalar(
    "Decimal",
    (st.sampled_from(NUMBERS) | st.integers(0, 10**7).map(str) | st.decimals().map(str)).map(nodes.String)
    | st.integers(-(10**20), 10**20).map(nodes.Int)
    | st.floats(allow_nan=False, allow_infinity=False).map(nodes.Float),
)
scalar("Date", (st.sampled_from(DATES) | st.dates().map(str)).map(nodes.String))
scalar("DateTime", (st.sampled_from(TIMES) | st.datetimes().map(lambda at: f"{at.isoformat()}Z")).map(nodes.String))


@schemathesis.hook
def flatmap_body(context: Any, body: Any) -> Any:
    """Most values mean something."""
    schema = context.operation.schema.client_schema
    return st.randoms(use_true_random=True).map(lambda random: given(body, schema, random))


@schemathesis.hook
def before_call(_context: Any, case: Any, **_: Any) -> None:
    """Every second operation comes with variables."""
    if case.meta.generation.mode.is_positive and crc32(case.body.encode()) % 2:
        case.body = with_variables(case.body, case.operation.schema.client_schema)


@schemathesis.hook
def after_call(_context: Any, _case: Any, response: Any) -> None:
    """What the shop has answered can be asked for."""
    with suppress(ValueError):
        learn(orjson.loads(response.content))


@schemathesis.check
def no_server_error(_context: Any, response: Any, case: Any) -> None:
    """Fails for a server error and for an answer that is no GraphQL answer, not for a refusal."""
    reason = server_error(response.status_code, response.headers.get("content-type"), response.content)
    assert reason is None, f"{reason}\n{case.body}"
