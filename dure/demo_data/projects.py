"""Thirty crowdfunding projects with rewards and the pledges that brought them where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from dure.demo_data.ids import chance, ulid_of
from dure.demo_data.people import CREATORS, CUSTOMERS, Customer

CATEGORIES = (
    ("food", "푸드 (Food)"),
    ("tech", "테크·가전 (Tech)"),
    ("living", "홈·리빙 (Living)"),
    ("fashion", "패션·잡화 (Fashion)"),
    ("culture", "문화·예술 (Culture)"),
)

IDEAS = (
    ("food", "제주 감귤로 만든 무가당 잼", "Sugar-free Jeju tangerine jam"),
    ("food", "발효 3년 씨간장", "Soy sauce aged three years"),
    ("food", "곤충 단백질 에너지바", "Cricket protein bars"),
    ("food", "논알코올 수제 막걸리", "Alcohol-free makgeolli"),
    ("food", "비건 김치 키트", "Vegan kimchi kit"),
    ("food", "토종 밀 생면", "Fresh noodles of native wheat"),
    ("tech", "접이식 블루투스 키보드", "Folding Bluetooth keyboard"),
    ("tech", "식물 물주기 알림 센서", "A sensor that knows when plants thirst"),
    ("tech", "수동 커피 그라인더 2세대", "Hand grinder, second generation"),
    ("tech", "초경량 휴대용 프로젝터", "Pocket projector"),
    ("tech", "자전거 후방 레이더", "Rear radar for bicycles"),
    ("tech", "점자 라벨 프린터", "Braille label printer"),
    ("living", "한지로 만든 무드등", "Mood light of hanji paper"),
    ("living", "폐그물 재생 러그", "Rug of recovered fishing nets"),
    ("living", "조립식 원목 책장", "Bookshelf without screws"),
    ("living", "무소음 벽시계", "A wall clock you cannot hear"),
    ("living", "반려묘 하이드 캣타워", "Cat tower that hides itself"),
    ("living", "두레 공방 도자기 세트", "Tableware of the Dure pottery"),
    ("fashion", "평생 수선 가죽 지갑", "Leather wallet, mended for life"),
    ("fashion", "한복 원단 셔츠", "Shirts of hanbok cloth"),
    ("fashion", "비 오는 날 신는 운동화", "Trainers for rainy days"),
    ("fashion", "재생 캐시미어 목도리", "Recycled cashmere scarf"),
    ("fashion", "주머니 열 개 조끼", "A vest with ten pockets"),
    ("fashion", "업사이클 우산 가방", "Bags of old umbrellas"),
    ("culture", "독립 잡지 창간호", "First issue of an independent magazine"),
    ("culture", "사라지는 골목 사진집", "Photographs of vanishing alleys"),
    ("culture", "국악 재즈 음반", "Gugak meets jazz, on vinyl"),
    ("culture", "어린이 과학 보드게임", "A science board game for children"),
    ("culture", "동네 서점 지도", "Map of neighbourhood bookshops"),
    ("culture", "단편 애니메이션 제작", "A short animated film"),
)

OPENED = datetime(2026, 10, 20, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DemoReward:
    key: str
    title: str
    description: str
    minimum_amount: int
    total_quantity: int | None
    estimated_delivery_on: date
    shipping_required: bool

    @property
    def id(self) -> str:
        return ulid_of("reward", self.key)


@dataclass(frozen=True, slots=True)
class DemoPledge:
    key: str
    backer: Customer
    reward: DemoReward
    quantity: int
    created_at: datetime

    @property
    def id(self) -> str:
        return ulid_of("pledge", self.key)

    @property
    def total(self) -> int:
        return self.reward.minimum_amount * self.quantity


@dataclass(frozen=True, slots=True)
class DemoProject:
    number: int
    category: str
    title: str
    english: str
    creator: Customer
    goal: int
    closes_at: datetime
    rewards: tuple[DemoReward, ...]
    pledges: tuple[DemoPledge, ...]

    @property
    def id(self) -> str:
        return ulid_of("project", self.number)

    @property
    def slug(self) -> str:
        return f"{self.english.lower().replace(',', '').replace(' ', '-')}-{self.number:02}"


def demo_projects(now: datetime) -> Iterator[DemoProject]:
    """All of them, open: what depends on ``now`` is only when they close (10 to 40 days on)."""
    for number, (category, title, english) in enumerate(IDEAS):
        dice = chance(f"project:{number}")
        price = dice.randrange(12, 90) * 1000
        rewards = tuple(_rewards(number, price, dice.randrange(30, 300)))
        backers = dice.sample(CUSTOMERS[len(CREATORS) :], dice.randrange(0, 30))
        pledges = tuple(
            DemoPledge(
                f"{number}:{backer.number}",
                backer,
                dice.choice(rewards),
                dice.choice((1, 1, 1, 2)),
                OPENED + timedelta(days=dice.randrange(0, 25), seconds=dice.randrange(86_400)),
            )
            for backer in backers
        )
        closes_at = now.replace(hour=14, minute=59, second=59, microsecond=0) + timedelta(days=10 + number)
        goal = dice.randrange(5, 40) * 100_000
        yield DemoProject(
            number, category, title, english, CREATORS[number % len(CREATORS)], goal, closes_at, rewards, pledges
        )


def _rewards(number: int, price: int, limit: int) -> Iterator[DemoReward]:
    when = date(2027, 3, 15) + timedelta(days=number)
    yield DemoReward(
        f"{number}:thanks",
        "응원하기 (Cheering)",
        "감사 편지를 보내드립니다. A letter of thanks.",
        5000,
        None,
        when,
        False,
    )
    yield DemoReward(
        f"{number}:early",
        "얼리버드 (Early bird)",
        "먼저 참여한 분께 20% 할인. A fifth off for the first.",
        price * 8 // 10,
        limit,
        when,
        True,
    )
    yield DemoReward(
        f"{number}:one", "기본 리워드 (One piece)", "완성품 1개. One finished piece.", price, None, when, True
    )
    yield DemoReward(
        f"{number}:two",
        "두 개 세트 (Two pieces)",
        "완성품 2개. Two finished pieces.",
        price * 19 // 10,
        None,
        when,
        True,
    )
