"""Reviews by the demo's customers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dure.demo_data.catalogue import Item
from dure.demo_data.ids import EPOCH, chance, ulid_of
from dure.demo_data.people import CUSTOMERS

GOOD = (
    "재구매 벌써 세 번째예요. 믿고 먹습니다.",
    "배송 빠르고 포장이 꼼꼼해요. 만족합니다.",
    "부모님 선물로 드렸는데 좋아하세요.",
    "Just as described, and it came two days later. Would buy again.",
    "향이 정말 좋아요. 다음에도 주문할게요.",
    "Good value for what is in it.",
)
FAIR = (
    "가격 대비 무난합니다.",
    "보통이에요. 크게 다른 점은 모르겠어요.",
    "Fine, though the packaging could be smaller.",
)
POOR = ("제 입맛에는 맞지 않았어요.", "배송이 늦었습니다.")


@dataclass(frozen=True, slots=True)
class Opinion:
    id: str
    author_id: str
    rating: int
    body: str
    created_at: datetime


def opinions(item: Item) -> Iterator[Opinion]:
    """Between none and five reviews of a product, more good than bad."""
    dice = chance(f"opinions:{item.key}")
    for author in dice.sample(CUSTOMERS, dice.choice((0, 1, 1, 2, 3, 5))):
        rating = dice.choice((5, 5, 5, 4, 4, 3, 2))
        body = dice.choice(GOOD if rating >= 4 else FAIR if rating == 3 else POOR)
        moment = EPOCH + timedelta(days=dice.randrange(60, 280), seconds=dice.randrange(86_400))
        yield Opinion(ulid_of("review", f"{item.key}:{author.number}"), author.id, rating, body, moment)
