"""Backers are told what becomes of a project, once, in their language."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from messaging.events.funding import BackerTold
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.users.models import users
from tests.subgraphs.users.conftest import World
from tests.subgraphs.users.test_notifications import inbox

NEWS = [
    ("UPDATED", ("title", "rewards"), None, "PROJECT_UPDATED", "제목, 리워드", "title, rewards"),
    ("CANCELED", (), "A {flood}", "PROJECT_CANCELED", "사유: A {flood}", "Reason: A {flood}"),
    ("FAILED", (), None, "PLEDGE_FAILED", "목표에 이르지 못해", "did not reach its goal"),
]


@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
@pytest.mark.parametrize(("news", "changed", "reason", "type", "korean", "english"), NEWS, ids=[n[0] for n in NEWS])
async def test_news_of_a_project_reach_its_backer_once(
    world: World,
    news: str,
    changed: tuple[str, ...],
    reason: str | None,
    type: str,
    korean: str,
    english: str,
    locale: str,
) -> None:
    """In the inbox and by e-mail; that a pledge failed is worded apart from a payment that failed."""
    member, project = await world.member(), new_ulid()
    await world.run(update(users).where(users.c.id == member.id).values(locale=locale))
    event = BackerTold(
        backer_id=member.id, project_id=project, title="달빛 {조명}", news=news, changed=changed, reason=reason
    )
    ids = await world.tell(event)
    await world.tell(event, ids=ids)
    (shown,) = await inbox(world, member)
    assert (shown["type"], shown["subjectId"]) == (type, global_id("Project", project))
    assert "달빛 {조명}" in shown["body"]
    assert (korean if locale == "ko-KR" else english) in shown["body"]
    assert [each["kind"] for each in await world.mails(member.email)] == [type, "VERIFY_EMAIL"]
