"""The explorer of a running shop, as the README tells a newcomer to use it: tabs run, one logs in and sees oneself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.dure.rest import demo_password
from tests.dure.shop import Buyer, ShopProcess
from tests.e2e.test_explorer import Needed, run, tools, write

__all__ = ["tools"]  # a fixture

pytestmark = pytest.mark.e2e

ANSWER = ".graphiql-response"
EDITOR = ".graphiql-editor-tool .graphiql-editor:not(.hidden)"
TOKEN = re.compile(r'"accessToken":\s*"([\w.\s-]+)"')
CUSTOMER = "customer1@people.example"


@pytest.fixture
async def page(tools: Needed, copied: tuple[ShopProcess, Buyer]) -> AsyncIterator[Page]:
    """The shop's explorer, opened."""
    shop, _ = copied
    await shop.start()
    async with async_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=tools.chromium, args=options)
        found = await browser.new_page(viewport={"width": 1600, "height": 1000})
        await found.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await found.goto(shop.url)
        await expect(found.locator(".graphiql-execute-button")).to_be_visible(timeout=30_000)
        yield found
        await browser.close()


async def test_a_newcomer_browses_logs_in_and_sees_oneself(page: Page, copied: tuple[ShopProcess, Buyer]) -> None:
    """The tabs for browsing answer as they are; the token that LogIn answers is what MyPage wants."""
    for tab, seen in (("ProductPage", "shippingEstimate"), ("SearchProducts", "totalCount"), ("ProjectPage", "goal")):
        await page.get_by_role("tab", name=tab).click()
        await run(page)
        await expect(page.locator(ANSWER)).to_contain_text(seen, timeout=15_000)
        await expect(page.locator(ANSWER)).not_to_contain_text('"errors"')
    await page.get_by_role("tab", name="LogIn").click()
    await write(page, EDITOR, json.dumps({"email": CUSTOMER, "password": demo_password(copied[0])}))
    async with page.expect_response(lambda answer: answer.url.endswith("/graphql")) as answered:
        await run(page)
    told = TOKEN.search(await (await answered.value).text())
    assert told is not None
    await page.get_by_role("tab", name="MyPage").click()
    await page.get_by_role("button", name="Headers").click()
    await write(page, EDITOR, json.dumps({"authorization": f"Bearer {told[1]}"}))
    await run(page)
    await expect(page.locator(ANSWER)).to_contain_text(CUSTOMER, timeout=15_000)
