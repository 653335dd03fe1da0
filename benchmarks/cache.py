"""``make bench-cache``: processor time a request of hot pages, with the router's cache and without it.

The shop runs in one process on SQLite; the time is that process's own, so a busy machine changes it little.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from benchmarks.shop.cpu import cpu_by_part
from benchmarks.shop.modes import Shop
from dure.demo.client import operation
from tests.support.process import free_port

REQUESTS = int(os.environ.get("REQUESTS", "1500"))
AT_ONCE = 8
SLUG = "baekdu-health-00-tablets"
PAGE = """
query($slug: String!) {
  product(slug: $slug) {
    id name description status
    nutrients { amount dailyValuePercent nutrient { name unit } }
    variants { id sku name price { amount currencyCode }
      shippingEstimate(postalCode: "06236") { fee { amount currencyCode } freeOver { amount } deliverFrom deliverTo } }
    partner { id slug name status }
    reviews(first: 3) { edges { node { rating body author { displayName avatarUrl } } } }
  }
}"""
LIST = """
query($text: String!) {
  productSearch(query: $text, first: 20) {
    totalCount
    edges { node { slug name priceRange { min { amount currencyCode } } rating { average count } partner { name } } }
  }
}"""
PAGES = {
    "product page": (PAGE, {"slug": SLUG}),
    "the same with stock (kept 2 s)": (operation("product_page"), {"slug": SLUG, "postalCode": "06236"}),
    "search, 20 products": (LIST, {"text": "비타민"}),
}


async def _ask(url: str, requests: int, query: str, variables: dict[str, str]) -> None:
    body = {"query": query, "variables": variables}
    left = iter(range(requests))

    async def reader(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(f"{url}/graphql", json=body) as response:
                answer = await response.json()
                if response.status != 200 or "errors" in answer:
                    raise SystemExit(f"{response.status}: {answer}")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(reader(session) for _ in range(AT_ONCE)))


def _measure(cache: bool) -> dict[str, float]:
    """Microseconds of the shop's processor time a request, by page."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        environment = {
            **os.environ,
            "DURE_DATA_DIR": folder,
            "DURE_PORT": str(port),
            "DURE_CACHE": str(cache),
            "ROUTER_RATE_LIMITS__ENABLED": "false",
        }
        shop = Shop(Path(folder), environment, "", split=False)
        found = {}
        with shop.open():
            for name, (query, variables) in PAGES.items():
                asyncio.run(_ask(f"http://127.0.0.1:{port}", 50, query, variables))
                before = cpu_by_part()["up"]
                asyncio.run(_ask(f"http://127.0.0.1:{port}", REQUESTS, query, variables))
                found[name] = (cpu_by_part()["up"] - before) / REQUESTS * 1e6
        return found


def main() -> int:
    """Measure both and print them side by side."""
    without, with_cache = _measure(cache=False), _measure(cache=True)
    table = Table("page", "without, µs", "with, µs", "times", title=f"{REQUESTS} requests each, {AT_ONCE} at once")
    for name, microseconds in without.items():
        ratio = microseconds / with_cache[name]
        table.add_row(name, f"{microseconds:,.0f}", f"{with_cache[name]:,.0f}", f"{ratio:.1f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
