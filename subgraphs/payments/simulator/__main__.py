"""``python -m subgraphs.payments.simulator --port 4090 --state provider.sqlite``: the provider as a process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import uvicorn

from subgraphs.payments.simulator.app import Simulator, create_simulator


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m subgraphs.payments.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4090)
    parser.add_argument("--state", type=Path, default=Path(".dure/provider.sqlite"), help="file of the books")
    parser.add_argument("--secret-key", default="test_sk_dure")
    parser.add_argument("--webhook-secret", default="whsec_dure", help="signs the webhooks of the Stripe face")
    parser.add_argument(
        "--webhook-url", help="where webhooks are posted to, e.g. http://127.0.0.1:4005/webhooks/toss (or stripe)"
    )
    given = parser.parse_args()
    simulator = create_simulator(given.state, secret_key=given.secret_key, webhook_secret=given.webhook_secret)
    asyncio.run(serve(simulator, given.host, given.port, given.webhook_url))


async def serve(simulator: Simulator, host: str, port: int, webhook_url: str | None) -> None:
    """Answer calls and send webhooks until the process is told to stop."""
    server = uvicorn.Server(uvicorn.Config(simulator, host=host, port=port, lifespan="off", log_level="warning"))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def post(body: bytes, headers: Mapping[str, str]) -> int:
            assert webhook_url is not None
            sent = {"content-type": "application/json", **headers}
            async with session.post(webhook_url, data=body, headers=sent) as response:
                return response.status

        if webhook_url:
            simulator.deliver_to(post)
        hooks = asyncio.create_task(simulator.run())
        try:
            await server.serve()
        finally:
            hooks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hooks


if __name__ == "__main__":
    main()
