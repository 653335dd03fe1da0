"""``dure simulator``: has the payment provider's simulator of a running shop misbehave, and plays the bank's part."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from dure.errors import StartError
from dure.serve import address
from dure.settings import Settings
from subgraphs.payments.simulator.faults import KINDS, MESSAGES
from subgraphs.payments.simulator.stripe_codes import CODES

TIMEOUT_SECONDS = 10


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the next ``times`` calls of a ``path`` meet. ``code``: of an error; ``seconds``: how long it hangs."""

    kind: str
    path: str = "/v1/"
    times: int = 1
    code: str | None = None
    seconds: float = 30.0


def addresses(settings: Settings) -> list[str]:
    """Where the simulator may be: inside the shop's process, or a process of its own."""
    return [f"{address(settings)}/provider", f"http://{settings.host}:{settings.provider_port}"]


def script(settings: Settings, faults: Iterable[Fault], url: str | None = None) -> int:
    """Have the simulator meet the next calls with these faults, in this order; how many. Raises StartError."""
    count = 0
    for fault in faults:
        if fault.kind not in KINDS:
            raise StartError(f"{fault.kind} is no fault; there are {', '.join(sorted(KINDS))}")
        if fault.code is not None and fault.code not in CODES and not fault.code.isupper():
            some = [*sorted(MESSAGES)[:3], *sorted(CODES)[:3]]
            raise StartError(f"{fault.code} is no error code, such as {', '.join(some)}")
        call(settings, "POST", "faults", msgspec.to_builtins(fault), url)
        count += 1
    return count


def read(file: Path) -> list[Fault]:
    """The faults of a YAML file: a list of maps with the fields of Fault. Raises StartError."""
    try:
        return msgspec.convert(yaml.safe_load(file.read_text()), list[Fault])
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise StartError(f"{file}: {error}") from None


def call(settings: Settings, method: str, name: str, body: Mapping[str, Any], url: str | None = None) -> dict[str, Any]:
    """The simulator's answer. Raises StartError when it refuses, or when none is running."""
    tried = [url.rstrip("/")] if url else addresses(settings)
    for base in tried:
        try:
            return _send(f"{base}/simulator/{name}", method, body)
        except urllib.error.HTTPError as error:
            if refusal := _refusal(error.read()):
                raise StartError(f"the simulator refuses: {refusal}") from None
        except OSError:
            continue
    raise StartError(f"no simulator at {' or '.join(tried)}: start the shop with `dure up`, or name it with --url")


def _send(address: str, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(address, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        answer: dict[str, Any] = json.loads(response.read())
        return answer


def _refusal(body: bytes) -> str | None:
    """What the simulator says; None when it was not the simulator who answered."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return f"{answer['code']} {answer.get('message', '')}" if isinstance(answer, dict) and "code" in answer else None
