"""What is sold: supplements with their nutrients and amounts, coffees, general goods. Texts in Korean and English."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from dure.demo_data.ids import chance, ulid_of
from dure.demo_data.people import SELLERS, Seller


@dataclass(frozen=True, slots=True)
class NutrientKind:
    """``reference``: the daily reference intake of Korean labelling rules, where there is one."""

    key: str
    name: str
    unit: str
    reference: Decimal | None = None

    @property
    def id(self) -> str:
        return ulid_of("nutrient", self.key)


def _nutrient(key: str, name: str, unit: str, reference: str | None = None) -> tuple[str, NutrientKind]:
    return key, NutrientKind(key, name, unit, Decimal(reference) if reference else None)


NUTRIENTS = dict(
    (
        _nutrient("vitamin-a", "비타민 A (Vitamin A)", "µg RAE", "700"),
        _nutrient("vitamin-b1", "비타민 B1 (Thiamine)", "mg", "1.2"),
        _nutrient("vitamin-b2", "비타민 B2 (Riboflavin)", "mg", "1.4"),
        _nutrient("niacin", "나이아신 (Niacin)", "mg NE", "15"),
        _nutrient("pantothenic-acid", "판토텐산 (Pantothenic acid)", "mg", "5"),
        _nutrient("vitamin-b6", "비타민 B6 (Vitamin B6)", "mg", "1.5"),
        _nutrient("biotin", "비오틴 (Biotin)", "µg", "30"),
        _nutrient("folate", "엽산 (Folate)", "µg", "400"),
        _nutrient("vitamin-b12", "비타민 B12 (Cobalamin)", "µg", "2.4"),
        _nutrient("vitamin-c", "비타민 C (Vitamin C)", "mg", "100"),
        _nutrient("vitamin-d", "비타민 D (Vitamin D)", "µg", "10"),
        _nutrient("vitamin-e", "비타민 E (Vitamin E)", "mg α-TE", "11"),
        _nutrient("vitamin-k", "비타민 K (Vitamin K)", "µg", "70"),
        _nutrient("calcium", "칼슘 (Calcium)", "mg", "700"),
        _nutrient("magnesium", "마그네슘 (Magnesium)", "mg", "315"),
        _nutrient("iron", "철 (Iron)", "mg", "12"),
        _nutrient("zinc", "아연 (Zinc)", "mg", "8.5"),
        _nutrient("selenium", "셀레늄 (Selenium)", "µg", "55"),
        _nutrient("omega-3", "EPA 및 DHA (Omega-3)", "mg"),
        _nutrient("lutein", "루테인 (Lutein)", "mg"),
        _nutrient("probiotics", "프로바이오틱스 (Probiotics)", "억 CFU"),
        _nutrient("coq10", "코엔자임 Q10 (Coenzyme Q10)", "mg"),
        _nutrient("silymarin", "밀크씨슬 실리마린 (Silymarin)", "mg"),
        _nutrient("collagen", "저분자 콜라겐 (Collagen peptide)", "mg"),
        _nutrient("red-ginseng", "홍삼 진세노사이드 (Ginsenosides)", "mg"),
        _nutrient("msm", "MSM (Methylsulfonylmethane)", "mg"),
    )
)

# Formula: Korean name, English name, nutrients with their amounts a day, price for a month's supply.
FORMULAS = (
    ("비타민C 1000", "Vitamin C 1000", {"vitamin-c": "1000"}, 9900),
    ("고함량 비타민C 3000", "Vitamin C 3000 powder", {"vitamin-c": "3000"}, 17900),
    ("비타민D 2000IU", "Vitamin D3 2000 IU", {"vitamin-d": "50"}, 11900),
    (
        "비타민B 컴플렉스",
        "Vitamin B complex",
        {
            "vitamin-b1": "25",
            "vitamin-b2": "25",
            "niacin": "50",
            "vitamin-b6": "25",
            "folate": "400",
            "vitamin-b12": "100",
        },
        16900,
    ),
    (
        "종합비타민 미네랄",
        "Multivitamin & minerals",
        {
            "vitamin-a": "700",
            "vitamin-c": "100",
            "vitamin-d": "10",
            "vitamin-e": "11",
            "vitamin-b1": "1.2",
            "vitamin-b2": "1.4",
            "folate": "400",
            "zinc": "8.5",
            "selenium": "55",
        },
        22900,
    ),
    (
        "칼슘 마그네슘 아연 비타민D",
        "Calcium, magnesium, zinc & D",
        {"calcium": "600", "magnesium": "300", "zinc": "10", "vitamin-d": "20"},
        18900,
    ),
    ("마그네슘 400", "Magnesium 400", {"magnesium": "400", "vitamin-b6": "1.5"}, 13900),
    ("rTG 오메가3", "rTG omega-3", {"omega-3": "1000", "vitamin-e": "11"}, 26900),
    ("루테인 지아잔틴", "Lutein & zeaxanthin", {"lutein": "20", "vitamin-a": "210"}, 19900),
    ("생유산균 100억", "Probiotics 10 billion", {"probiotics": "100", "zinc": "8.5"}, 24900),
    ("코엔자임Q10", "Coenzyme Q10", {"coq10": "100", "vitamin-e": "11"}, 27900),
    ("밀크씨슬", "Milk thistle", {"silymarin": "130", "vitamin-b1": "1.2"}, 21900),
    ("저분자 피쉬콜라겐", "Fish collagen", {"collagen": "3000", "vitamin-c": "100", "biotin": "30"}, 29900),
    ("홍삼정", "Red ginseng extract", {"red-ginseng": "24"}, 45900),
    ("철분 엽산", "Iron & folate", {"iron": "14", "folate": "600", "vitamin-c": "100"}, 15900),
    ("관절엔 MSM", "MSM for joints", {"msm": "2000", "vitamin-d": "10"}, 23900),
    ("아연 셀레늄", "Zinc & selenium", {"zinc": "12", "selenium": "60"}, 12900),
    ("비오틴 5000", "Biotin 5000", {"biotin": "5000", "pantothenic-acid": "5"}, 14900),
    ("비타민K2 D3", "Vitamin K2 + D3", {"vitamin-k": "90", "vitamin-d": "25"}, 19900),
    (
        "임산부 종합영양",
        "Prenatal complete",
        {"folate": "600", "iron": "24", "calcium": "300", "vitamin-d": "10", "omega-3": "500"},
        34900,
    ),
)

FORMS = (("정", "tablets", 60), ("캡슐", "capsules", 90), ("스틱", "sticks", 30))

ORIGINS = (
    ("에티오피아 예가체프", "Ethiopia Yirgacheffe", "자스민, 복숭아 / jasmine, peach"),
    ("에티오피아 구지", "Ethiopia Guji", "베리, 꿀 / berries, honey"),
    ("케냐 니에리 AA", "Kenya Nyeri AA", "블랙커런트, 자몽 / blackcurrant, grapefruit"),
    ("콜롬비아 우일라", "Colombia Huila", "캐러멜, 사과 / caramel, apple"),
    ("과테말라 안티구아", "Guatemala Antigua", "초콜릿, 오렌지 / chocolate, orange"),
    ("코스타리카 타라주", "Costa Rica Tarrazu", "흑설탕, 시트러스 / brown sugar, citrus"),
    ("브라질 세하도", "Brazil Cerrado", "견과, 초콜릿 / nuts, chocolate"),
    ("파나마 게이샤", "Panama Geisha", "베르가못, 망고 / bergamot, mango"),
    ("인도네시아 만델링", "Sumatra Mandheling", "허브, 다크초콜릿 / herbs, dark chocolate"),
    ("르완다 부산제", "Rwanda Busanze", "홍차, 자두 / black tea, plum"),
    ("디카페인 콜롬비아", "Decaf Colombia", "구운 견과 / roasted nuts"),
    ("하우스 블렌드", "House blend", "균형 잡힌 단맛 / balanced and sweet"),
)
ROASTS = (("라이트", "light"), ("미디엄", "medium"), ("다크", "dark"))

GOODS = (
    ("무쇠 프라이팬 26cm", "Cast iron pan 26 cm", "주방", 49000, 2400),
    ("편백나무 도마", "Hinoki cutting board", "주방", 38000, 1200),
    ("스테인리스 텀블러 500ml", "Steel tumbler 500 ml", "주방", 24000, 350),
    ("핸드드립 세트", "Pour-over set", "주방", 42000, 900),
    ("세라믹 머그", "Ceramic mug", "주방", 16000, 400),
    ("옻칠 수저 세트", "Lacquered cutlery", "주방", 29000, 150),
    ("전통 뚝배기", "Earthenware pot", "주방", 19000, 1500),
    ("리넨 앞치마", "Linen apron", "주방", 27000, 250),
    ("유기농 면 수건", "Organic cotton towel", "생활", 14000, 300),
    ("메밀 베개", "Buckwheat pillow", "생활", 33000, 1800),
    ("소이 캔들", "Soy candle", "생활", 18000, 320),
    ("천연 설거지 비누", "Dish soap bar", "생활", 8000, 200),
    ("한지 조명", "Hanji paper lamp", "생활", 64000, 1100),
    ("대나무 칫솔 4개", "Bamboo toothbrushes, four", "생활", 9000, 80),
    ("누비 담요", "Quilted blanket", "생활", 78000, 1600),
    ("양모 건조볼", "Wool dryer balls", "생활", 15000, 180),
    ("경량 배낭 28L", "Light backpack 28 l", "아웃도어", 119000, 780),
    ("카본 등산 스틱", "Carbon trekking poles", "아웃도어", 89000, 420),
    ("1인용 백패킹 텐트", "One-person tent", "아웃도어", 239000, 1250),
    ("티타늄 코펠", "Titanium pot", "아웃도어", 69000, 160),
    ("헤드랜턴", "Head torch", "아웃도어", 34000, 90),
    ("메리노 양말", "Merino socks", "아웃도어", 17000, 70),
    ("방수 자켓", "Rain jacket", "아웃도어", 149000, 310),
    ("접이식 의자", "Folding chair", "아웃도어", 58000, 950),
)
STYLES = (("기본", "classic"), ("프리미엄", "premium"))

# Category: key, Korean and English name, key of its parent.
CATEGORIES = (
    ("supplements", "영양제 (Supplements)", None),
    ("vitamins", "비타민 (Vitamins)", "supplements"),
    ("minerals", "미네랄 (Minerals)", "supplements"),
    ("functional", "기능성 (Functional)", "supplements"),
    ("coffee", "커피 (Coffee)", None),
    ("single-origin", "싱글 오리진 (Single origin)", "coffee"),
    ("blend-decaf", "블렌드·디카페인 (Blends and decaf)", "coffee"),
    ("general", "생활잡화 (General goods)", None),
    ("주방", "주방 (Kitchen)", "general"),
    ("생활", "생활 (Living)", "general"),
    ("아웃도어", "아웃도어 (Outdoor)", "general"),
)
CATEGORY_SLUGS = {"주방": "kitchen", "생활": "living", "아웃도어": "outdoor"}

# Shipping profile: key, name, fee, free from, surcharge for far islands.
PROFILES = (
    ("standard", "일반 택배 (Standard parcel)", 3000, 30000, 3000),
    ("bulky", "대형 화물 (Bulky)", 9000, None, 8000),
)

# Selling plan: key, name, interval, count, discount in hundredths of a percent.
PLANS = (
    ("monthly", "매월 배송 (Every month)", "MONTH", 1, 1000),
    ("two-weeks", "2주마다 (Every two weeks)", "WEEK", 2, 700),
    ("weekly", "매주 (Every week)", "WEEK", 1, 500),
)


@dataclass(frozen=True, slots=True)
class Variant:
    sku: str
    name: str
    price: int
    weight_grams: int
    on_hand: int
    compare_at_price: int | None = None

    @property
    def id(self) -> str:
        return ulid_of("variant", self.sku)


@dataclass(frozen=True, slots=True)
class Item:
    """A product with everything that hangs on it."""

    key: str
    name: str
    description: str
    type: str
    seller: Seller
    categories: tuple[str, ...]
    variants: tuple[Variant, ...]
    profile: str = "standard"
    nutrients: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    plans: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return ulid_of("product", self.key)


def items() -> Iterator[Item]:
    """The whole catalogue, in a fixed order."""
    sellers = {kind: [each for each in SELLERS if each.kind == kind] for kind in ("SUPPLEMENT", "COFFEE", "GENERAL")}
    yield from _supplements(sellers["SUPPLEMENT"])
    yield from _coffees(sellers["COFFEE"])
    yield from _goods(sellers["GENERAL"])


def _supplements(sellers: list[Seller]) -> Iterator[Item]:
    for seller in sellers:
        for number, (korean, english, nutrients, price) in enumerate(FORMULAS):
            dice = chance(f"supplement:{seller.slug}:{number}")
            for form_korean, form_english, count in FORMS[: 3 if number % 2 else 2]:
                key = f"{seller.slug}-{number:02}-{form_english}"
                unit = price + dice.randrange(-10, 11) * 100
                yield Item(
                    key=key,
                    name=f"{seller.name} {korean} {count}{form_korean} ({english}, {count} {form_english})",
                    description=f"{korean}: 하루 한 번 물과 함께 드세요. {english}: once a day with water.",
                    type="SUPPLEMENT",
                    seller=seller,
                    categories=("supplements", _shelf(nutrients)),
                    variants=(
                        Variant(f"{key}-1".upper(), "1개월분 (1 month)", unit, 150, dice.randrange(20, 400)),
                        Variant(
                            f"{key}-3".upper(),
                            "3개월분 (3 months)",
                            unit * 27 // 10 // 100 * 100,
                            430,
                            dice.randrange(0, 120),
                            unit * 3,
                        ),
                    ),
                    nutrients=nutrients,
                    attributes={"제형": form_korean, "원산지": dice.choice(["대한민국", "독일", "미국", "캐나다"])},
                    plans=("monthly",),
                )


def _shelf(nutrients: dict[str, str]) -> str:
    if all(key.startswith(("vitamin", "folate", "niacin", "biotin", "pantothenic")) for key in nutrients):
        return "vitamins"
    minerals = {"calcium", "magnesium", "iron", "zinc", "selenium"}
    return "minerals" if next(iter(nutrients)) in minerals else "functional"


def _coffees(sellers: list[Seller]) -> Iterator[Item]:
    for seller in sellers:
        for number, (korean, english, notes) in enumerate(ORIGINS):
            dice = chance(f"coffee:{seller.slug}:{number}")
            for roast_korean, roast_english in ROASTS:
                key = f"{seller.slug}-{number:02}-{roast_english}"
                price = 14000 + dice.randrange(0, 80) * 100 + (22000 if "Geisha" in english else 0)
                grinds = (("홀빈", "whole bean"), ("핸드드립", "pour-over"))
                yield Item(
                    key=key,
                    name=f"{seller.name} {korean} {roast_korean} 로스트 ({english}, {roast_english} roast)",
                    description=f"{notes}. 주문 후 볶아 보냅니다. Roasted to order.",
                    type="COFFEE",
                    seller=seller,
                    categories=("coffee", "single-origin" if number < 10 else "blend-decaf"),
                    variants=tuple(
                        Variant(
                            f"{key}-{index}".upper(),
                            f"{name_korean} 200g ({name_english})",
                            price,
                            230,
                            dice.randrange(5, 150),
                        )
                        for index, (name_korean, name_english) in enumerate(grinds)
                    ),
                    attributes={"로스팅": roast_korean, "원산지": korean.split()[0]},
                    plans=("two-weeks", "weekly", "monthly"),
                )


def _goods(sellers: list[Seller]) -> Iterator[Item]:
    for number, (korean, english, shelf, price, weight) in enumerate(GOODS):
        for index, (style_korean, style_english) in enumerate(STYLES):
            seller = sellers[number % len(sellers)]
            key = f"{seller.slug}-{number:02}-{style_english}"
            dice = chance(f"goods:{key}")
            yield Item(
                key=key,
                name=f"{korean} {style_korean} ({english}, {style_english})",
                description=f"{seller.name}에서 만든 {korean}. {english}, made to be used for years.",
                type="GENERAL",
                seller=seller,
                categories=("general", shelf),
                variants=(
                    Variant(
                        f"{key}-1".upper(),
                        f"{style_korean} ({style_english})",
                        price * (10 + 4 * index) // 10,
                        weight,
                        dice.randrange(3, 90),
                    ),
                ),
                profile="bulky" if weight > 1500 else "standard",
                attributes={"스타일": style_korean},
            )
