"""The explorer in a browser: it loads from the router alone, runs operations and draws their plans."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from router.settings import Settings
from tests.conftest import serve
from tests.router.pipeline.subgraphs import Served, router, subgraphs
from tests.router.pipeline.test_full_stack import listening
from tests.support import explorer
from tests.support.servers import find
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
PRODUCTS = "query Products($first: Int) { products { name freight reviews(first: $first) { body author { name } } } }"
ME = "query Me { me { name } }"


@dataclass(frozen=True)
class Needed:
    """What the tests need from outside Python."""

    chromium: str
    dist: Path


@contextmanager
def needed() -> Iterator[Needed]:
    yield Needed(find("chromium", "chromium"), explorer.build())


@pytest.fixture(scope="module")
def tools() -> Iterator[Needed]:
    """Chromium and the built explorer."""
    yield from serve(needed())


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Two operations as first tabs."""
    (tmp_path / "products.graphql").write_text(PRODUCTS)
    (tmp_path / "me.graphql").write_text(ME)
    listed = [
        {"file": "products.graphql", "variables": {"first": 1}},
        {"file": "me.graphql", "headers": {"x-tenant": "blue"}},
    ]
    path = tmp_path / "examples.json"
    path.write_text(json.dumps(listed))
    return path


@pytest.fixture
def served() -> dict[str, Served]:
    return subgraphs()


@pytest.fixture
async def page(tools: Needed, examples: Path, served: dict[str, Served]) -> AsyncIterator[Page]:
    """The explorer, opened. Afterwards nothing must have failed in it, and nothing come from elsewhere."""
    settings = Settings(
        dev=True, explorer_assets=tools.dist, explorer_examples=examples, forward_headers=("x-tenant", "x-typed")
    )
    async with listening(router(served, settings)) as url, async_playwright() as playwright:
        home = url.removesuffix("graphql")
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=tools.chromium, args=options)
        found = await browser.new_page(viewport={"width": 1400, "height": 900})
        await found.context.grant_permissions(["clipboard-read", "clipboard-write"])
        failures: list[str] = []
        found.on("pageerror", lambda error: failures.append(str(error)))
        found.on("console", lambda message: failures.append(message.text) if message.type == "error" else None)
        elsewhere: list[str] = []
        found.on(
            "request",
            lambda request: None if request.url.startswith((home, "data:", "blob:")) else elsewhere.append(request.url),
        )
        await found.goto(home)
        await expect(found.locator(".graphiql-execute-button")).to_be_visible(timeout=30_000)
        yield found
        await found.screenshot(path=examples.with_name("explorer.png"))
        await browser.close()
        assert elsewhere == []
        assert failures == []


async def write(page: Page, editor: str, text: str) -> None:
    """Replace an editor's text. Pasted: while one types, the editor adds brackets of its own."""
    await page.evaluate("text => navigator.clipboard.writeText(text)", text)
    await page.locator(f"{editor} .monaco-editor").click()
    await page.keyboard.press("Control+A")
    await page.keyboard.press("Control+V")


async def run(page: Page) -> None:
    await page.locator(".graphiql-execute-button").click()


async def test_examples_are_the_first_tabs_and_run(page: Page, served: dict[str, Served]) -> None:
    """The first example runs with its variables; its answer is shown."""
    await expect(page.get_by_role("tab", name="Products")).to_be_visible()
    await expect(page.get_by_role("tab", name="Me")).to_be_visible()
    await run(page)
    await expect(page.locator(".graphiql-response")).to_contain_text('"Table"')
    assert served["reviews"].requests[0].variables is not None
    assert served["reviews"].requests[0].variables["first"] == 1


async def test_the_plan_of_the_last_run_is_drawn(page: Page) -> None:
    """Rounds in their order, in each the subgraphs that were asked, with their times."""
    panel = page.locator("section.plan")
    await expect(page.locator("p.plan")).to_contain_text("Run an operation")
    await run(page)
    await expect(panel).to_contain_text("3 fetches, 3 rounds, 3 subgraphs")
    asked = [
        [await request.get_attribute("data-subgraph") for request in await round_.locator(".plan-request").all()]
        for round_ in await panel.locator(".plan-round").all()
    ]
    assert asked == [["catalog"], ["reviews"], ["accounts"]]
    await expect(panel.locator(".plan-request").first).to_contain_text(" ms")
    await expect(panel.locator(".plan-request").nth(1)).to_contain_text("2 entities")


async def test_headers_are_edited_and_sent(page: Page, served: dict[str, Served]) -> None:
    """An example's headers go to the router, and so does what is typed in their place."""
    await page.get_by_role("tab", name="Me").click()
    await run(page)
    await expect(page.locator(".graphiql-response")).to_contain_text('"Ada"')
    assert served["accounts"].requests[-1].headers == {"x-tenant": "blue"}
    await page.get_by_role("button", name="Headers").click()
    await write(page, ".graphiql-editor-tool .graphiql-editor:not(.hidden)", '{"x-typed": "green"}')
    await run(page)
    await eventually(lambda: served["accounts"].requests[-1].headers == {"x-typed": "green"})


async def test_an_operation_is_typed_and_run(page: Page) -> None:
    """What is typed into the editor is sent, and the schema is known to it."""
    await page.get_by_role("tab", name="Me").click()
    await write(page, ".graphiql-query-editor", "{ latest { body stars } }")
    await run(page)
    await expect(page.locator(".graphiql-response")).to_contain_text('"Good"')
