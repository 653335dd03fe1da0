"""schemathesis against a running shop's REST endpoints, as each kind of caller.

``python -m tests.dure.fuzz`` (``make fuzz``) starts a shop of its own and spends schemathesis' default budget.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from dure.demo_data.people import SELLERS
from tests.dure.rest import demo_password, people
from tests.dure.shop import ShopProcess

UNLIMITED = {"ROUTER_RATE_LIMITS__ENABLED": "false"}
"""Otherwise most of what is generated would be answered with 429, and nothing be learnt."""

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CALLERS = {
    "customer": "customer1@people.example",
    "partner": f"owner@{SELLERS[0].slug}.example",
    "operator": "operator@dure.example",
}


async def tokens(shop: ShopProcess) -> dict[str, str | None]:
    """An access token of each kind of caller, None for the anonymous."""
    found: dict[str, str | None] = {"anonymous": None}
    async with people(shop, 1) as (person,):
        for kind, email in CALLERS.items():
            found[kind] = (await person.log_in(email, demo_password(shop)))["accessToken"]
    return found


def fuzz(url: str, token: str | None, *, examples: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run schemathesis; its exit code is 0 when no check failed. ``examples`` None: its own default."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{url}/openapi.json", "--no-color",
        "--checks", CHECKS, "--phases", "coverage,fuzzing",
        "--suppress-health-check=all", "--warnings=off",
    ]  # fmt: skip
    if token is not None:
        command += ["--header", f"Authorization: Bearer {token}"]
    if examples is None:
        command += ["--generation-database=none"]
    else:
        command += ["--max-examples", str(examples), "--generation-deterministic"]
    return subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir())


async def _all(folder: Path) -> int:
    shop = ShopProcess(folder, {"DURE_USERS_ACCESS_TOKEN_LIFE": "PT2H", **UNLIMITED})
    await shop.start()
    failed = 0
    try:
        for kind, token in (await tokens(shop)).items():
            done = await asyncio.to_thread(fuzz, shop.url, token)
            summary = done.stdout if done.returncode else done.stdout.strip().splitlines()[-1]
            print(f"{kind}: {'failed' if done.returncode else 'clean'}\n{summary}{done.stderr}", flush=True)
            failed += done.returncode != 0
    finally:
        await shop.stop()
    return failed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.exit(asyncio.run(_all(Path(place) / "data")))
