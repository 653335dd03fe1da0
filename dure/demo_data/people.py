"""Who is there: an operator, ten sellers, creators of projects, and customers who wrote reviews."""

from __future__ import annotations

from dataclasses import dataclass

from dure.demo_data.ids import ulid_of


@dataclass(frozen=True, slots=True)
class Seller:
    slug: str
    name: str
    description: str
    kind: str
    """What is sold: SUPPLEMENT, COFFEE or GENERAL."""

    @property
    def id(self) -> str:
        return ulid_of("partner", self.slug)

    @property
    def owner_id(self) -> str:
        return ulid_of("user", f"owner:{self.slug}")


SELLERS = (
    Seller("baekdu-health", "백두헬스", "매일 챙기는 기본 영양. Everyday essentials from Baekdu Health.", "SUPPLEMENT"),
    Seller("sollip-nutrition", "솔잎뉴트리션", "식물 유래 원료만 씁니다. Plant-based nutrition.", "SUPPLEMENT"),
    Seller("hanbit-lab", "한빛랩", "함량을 숨기지 않는 연구소. Every amount on the label.", "SUPPLEMENT"),
    Seller("onnuri-farm", "온누리팜", "온 가족 건강기능식품. Supplements for the whole family.", "SUPPLEMENT"),
    Seller("namsan-roasters", "남산로스터스", "남산 아래 작은 로스터리. A small roastery under Namsan.", "COFFEE"),
    Seller("jeju-coffee-lab", "제주커피랩", "제주에서 볶는 싱글 오리진. Single origins roasted on Jeju.", "COFFEE"),
    Seller("moonlight-beans", "달빛원두", "디카페인과 다크 로스트. Decaf and dark roasts.", "COFFEE"),
    Seller("dure-living", "두레리빙", "오래 쓰는 생활용품. Household goods made to last.", "GENERAL"),
    Seller("gureum-outdoor", "구름아웃도어", "가벼운 산행 장비. Light gear for the hills.", "GENERAL"),
    Seller("areum-kitchen", "아름키친", "손에 맞는 주방 도구. Kitchen tools that fit the hand.", "GENERAL"),
)

OPERATOR_ID = ulid_of("user", "operator")

FAMILY_NAMES = "김이박최정강조윤장임한오서신권황안송류홍"
GIVEN_NAMES = "서연민준지우하준서윤도윤지호수아예준하은유진현우채원시우나은건우소율태민다은준서"
"""Two syllables each."""


@dataclass(frozen=True, slots=True)
class Customer:
    number: int

    @property
    def id(self) -> str:
        return ulid_of("user", f"customer:{self.number}")

    @property
    def name(self) -> str:
        family = FAMILY_NAMES[self.number % len(FAMILY_NAMES)]
        given = self.number * 7 % (len(GIVEN_NAMES) // 2) * 2
        return family + GIVEN_NAMES[given : given + 2]

    @property
    def display_name(self) -> str:
        return f"{self.name[0]}{'*' * (len(self.name) - 2)}{self.name[-1]}{self.number:02}"


CUSTOMERS = tuple(Customer(number) for number in range(60))
CREATORS = CUSTOMERS[:15]
