"""What a project's backers are told: that it was changed, cancelled, or missed its goal."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.events.funding import BackerTold
from messaging.outbox import record
from subgraphs.funding.domain import PledgeStatus
from subgraphs.funding.models import outbox, pledges
from subgraphs.funding.pledging import SOURCE

SHOWN = {"title": "title", "summary": "summary", "story": "story", "category_id": "category"}
"""Columns of what a project's page shows, and how they are called in what is told."""


class News(StrEnum):
    """What has happened to a project."""

    UPDATED = "UPDATED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"


async def tell_backers(
    tx: AsyncConnection, project: Row[Any], news: News, *, changed: Sequence[str] = (), reason: str | None = None
) -> None:
    """Tell everybody who has a live pledge, once each. To be called before the pledges are released."""
    live = (pledges.c.project_id == project.id) & (pledges.c.status == PledgeStatus.RESERVED.value)
    backers = (await tx.execute(select(pledges.c.backer_id).where(live).distinct())).scalars()
    told = [
        BackerTold(
            backer_id=backer,
            project_id=project.id,
            title=project.title,
            news=news.value,
            changed=tuple(changed),
            reason=reason,
        )
        for backer in backers
    ]
    await record(tx, outbox, SOURCE, told)


def changed_parts(before: Row[Any], after: dict[str, Any]) -> list[str]:
    """What of a project's page the new columns change."""
    return [part for column, part in SHOWN.items() if getattr(before, column) != after[column]]
