"""The demo's data as rows of the subgraphs' tables, in the order in which they can be inserted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import table_of
from dure.demo_data import flash
from dure.demo_data.catalogue import CATEGORIES, CATEGORY_SLUGS, NUTRIENTS, PLANS, PROFILES, Item, items
from dure.demo_data.ids import EPOCH, ulid_of
from dure.demo_data.opinions import opinions
from dure.demo_data.people import CREATORS, CUSTOMERS, OPERATOR_ID, SELLERS
from dure.demo_data.projects import CATEGORIES as PROJECT_CATEGORIES
from dure.demo_data.projects import OPENED, DemoProject, demo_projects
from messaging.outbox import record
from subgraphs.delivery import models as delivery_models
from subgraphs.delivery.service import announce_profiles
from subgraphs.funding import models as funding_models
from subgraphs.funding.domain import folded
from subgraphs.funding.pledging import RECENT, SOURCE, reserved
from subgraphs.products import models as product_models
from subgraphs.products.domain import duplicate_key, helpfulness, scaled_amount
from subgraphs.products.importing import products_imported
from subgraphs.products.stock_ledger import open_levels
from subgraphs.users import models as user_models
from subgraphs.users.domain import business_check_digit
from subgraphs.users.service.announce import announce_account, announce_partners
from subgraphs.users.service.announce import announce_users as announce_user_rows

Rows = list[dict[str, Any]]
Tables = list[tuple[Table, Rows]]


# --- users --------------------------------------------------------------------------------------------------------


def users_marker() -> tuple[Table, str]:
    return user_models.users, OPERATOR_ID


def users(password: str) -> Tables:
    """The operator, ten sellers and their owners, customers. Those who can log in share a password."""
    hashed = PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1).hash(password)
    people = [_user(OPERATOR_ID, "operator@dure.example", "운영자", "dure", hashed)]
    people += [
        _user(seller.owner_id, f"owner@{seller.slug}.example", f"{seller.name} 대표", seller.name, hashed)
        for seller in SELLERS
    ]
    people += [
        _user(customer.id, f"customer{customer.number}@people.example", customer.name, customer.display_name, hashed)
        for customer in CUSTOMERS
    ]
    roles = [(person["id"], "CUSTOMER") for person in people]
    roles += [(OPERATOR_ID, "ADMIN"), *((seller.owner_id, "PARTNER") for seller in SELLERS)]
    roles += [(creator.id, "CREATOR") for creator in CREATORS]
    partners = [
        {
            "id": seller.id,
            "version": 1,
            "slug": seller.slug,
            "name": seller.name,
            "logo_url": None,
            "description": seller.description,
            "status": "ACTIVE",
            "business_number": _business_number(number),
            "created_at": EPOCH,
        }
        for number, seller in enumerate(SELLERS)
    ]
    return [
        (user_models.users, people),
        (user_models.user_roles, [{"user_id": user_id, "role": role} for user_id, role in roles]),
        (user_models.partners, partners),
        (
            user_models.partner_members,
            [{"user_id": seller.owner_id, "partner_id": seller.id} for seller in SELLERS],
        ),
    ]


def _user(user_id: str, email: str, name: str, display_name: str, password_hash: str) -> dict[str, Any]:
    return {
        "id": user_id,
        "version": 1,
        "email": email,
        "email_index": user_models.email_index(email),
        "name": name,
        "display_name": display_name,
        "password_hash": password_hash,
        "email_verified_at": EPOCH,
        "locale": "ko-KR",
        "time_zone": "Asia/Seoul",
        "created_at": EPOCH,
    }


def _business_number(number: int) -> str:
    """A number that passes every check; the demo's sellers are invented all the same."""
    nine = f"1208100{number:02}"
    return f"{nine}{business_check_digit(nine)}"


async def announce_users(tx: AsyncConnection) -> None:
    ids = list((await tx.execute(select(user_models.users.c.id))).scalars())
    await announce_user_rows(tx, ids)
    await announce_partners(tx, [seller.id for seller in SELLERS])
    for number, seller in enumerate(SELLERS):
        await announce_account(tx, seller.id, "88", f"110900{number:06}", f"{seller.name} 대표")


# --- delivery -----------------------------------------------------------------------------------------------------


def delivery_marker() -> tuple[Table, str]:
    return delivery_models.profiles, ulid_of("profile", PROFILES[0][0])


def delivery() -> Tables:
    """Shipping profiles."""
    rows = [
        {
            "id": ulid_of("profile", key),
            "version": 1,
            "name": name,
            "currency": "KRW",
            "base_fee": fee,
            "free_over": free_over,
            "remote_surcharge": surcharge,
        }
        for key, name, fee, free_over, surcharge in PROFILES
    ]
    return [(delivery_models.profiles, rows)]


async def announce_delivery(tx: AsyncConnection) -> None:
    await announce_profiles(tx, [ulid_of("profile", key) for key, *_ in PROFILES])


# --- products -----------------------------------------------------------------------------------------------------


def products_marker() -> tuple[Table, str]:
    return table_of(product_models.Product), next(items()).id


def products() -> Tables:
    """Categories, nutrients, selling plans, and the catalogue with all that hangs on it."""
    catalogue = list(items())
    m = product_models
    per_item = [(item, opinion) for item in catalogue for opinion in opinions(item)]
    return [
        (table_of(m.Category), [_category(number, *each) for number, each in enumerate(CATEGORIES)]),
        (table_of(m.Nutrient), [_nutrient(kind) for kind in NUTRIENTS.values()]),
        (table_of(m.SellingPlan), [_plan(*each) for each in PLANS]),
        (table_of(m.Product), [_product(number, item) for number, item in enumerate(catalogue)]),
        (table_of(m.ProductVariant), [row for item in catalogue for row in _variants(item)]),
        (
            table_of(m.ProductCategory),
            [
                {"product_id": item.id, "category_id": ulid_of("category", key)}
                for item in catalogue
                for key in item.categories
            ],
        ),
        (table_of(m.ProductNutrient), [row for item in catalogue for row in _amounts(item)]),
        (
            table_of(m.ProductAttribute),
            [
                {"product_id": item.id, "name": name, "value": value}
                for item in catalogue
                for name, value in item.attributes.items()
            ],
        ),
        (
            table_of(m.ProductSellingPlan),
            [
                {"product_id": item.id, "selling_plan_id": ulid_of("plan", key), "position": position}
                for item in catalogue
                for position, key in enumerate(item.plans)
            ],
        ),
        (
            table_of(m.Review),
            [
                {
                    "id": opinion.id,
                    "product_id": item.id,
                    "author_id": opinion.author_id,
                    "rating": opinion.rating,
                    "body": opinion.body,
                    "helpfulness": helpfulness(opinion.body),
                    "verified_purchase": False,
                    "created_at": opinion.created_at,
                }
                for item, opinion in per_item
            ],
        ),
    ]


def _category(position: int, key: str, name: str, parent: str | None) -> dict[str, Any]:
    return {
        "id": ulid_of("category", key),
        "slug": CATEGORY_SLUGS.get(key, key),
        "name": name,
        "parent_id": ulid_of("category", parent) if parent else None,
        "position": position,
    }


def _nutrient(kind: Any) -> dict[str, Any]:
    reference = None if kind.reference is None else scaled_amount(kind.reference)
    return {"id": kind.id, "name": kind.name, "unit": kind.unit, "reference_amount": reference}


def _plan(key: str, name: str, interval: str, count: int, discount: int) -> dict[str, Any]:
    return {
        "id": ulid_of("plan", key),
        "name": name,
        "interval": interval,
        "interval_count": count,
        "discount_bps": discount,
        "deliveries_per_billing": 1,
    }


def _product(number: int, item: Item) -> dict[str, Any]:
    moment = EPOCH + timedelta(hours=number)
    prices = [variant.price for variant in item.variants]
    return {
        "id": item.id,
        "slug": item.key,
        "partner_id": item.seller.id,
        "name": item.name,
        "description": item.description,
        "status": "PUBLISHED",
        "type": item.type,
        "currency": "KRW",
        "min_price": min(prices),
        "max_price": max(prices),
        "rating_total": 0,
        "rating_count": 0,
        "rating_average": 0,
        "sold_count": 0,
        "duplicate_key": duplicate_key(item.seller.id, item.name),
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
        "published_at": moment,
    }


def _variants(item: Item) -> Rows:
    return [
        {
            "id": variant.id,
            "product_id": item.id,
            "position": position,
            "sku": variant.sku,
            "name": variant.name,
            "price": variant.price,
            "compare_at_price": variant.compare_at_price,
            "currency": "KRW",
            "weight_grams": variant.weight_grams,
            "shipping_profile_id": ulid_of("profile", item.profile),
            "withdrawn": False,
            "version": 1,
        }
        for position, variant in enumerate(item.variants)
    ]


def _amounts(item: Item) -> Rows:
    return [
        {
            "product_id": item.id,
            "nutrient_id": NUTRIENTS[key].id,
            "position": position,
            "amount": scaled_amount(Decimal(amount)),
        }
        for position, (key, amount) in enumerate(item.nutrients.items())
    ]


async def announce_products(tx: AsyncConnection) -> None:
    catalogue = list(items())
    stock = {variant.id: variant.on_hand for item in catalogue for variant in item.variants}
    now = datetime.now(UTC)
    await open_levels(tx, stock, now)
    await flash.put_up(tx, now)
    await products_imported(tx, [item.id for item in catalogue])


# --- funding ------------------------------------------------------------------------------------------------------


def funding_marker() -> tuple[Table, str]:
    return funding_models.projects, ulid_of("project", 0)


def funding() -> Tables:
    """Project categories, projects, rewards, pledges."""
    found = list(demo_projects(datetime.now(UTC)))
    m = funding_models
    categories = [
        {"id": ulid_of("project-category", key), "slug": key, "name": name} for key, name in PROJECT_CATEGORIES
    ]
    return [
        (m.categories, categories),
        (m.projects, [_project(project) for project in found]),
        (m.rewards, [row for project in found for row in _rewards(project)]),
        (m.pledges, [row for project in found for row in _pledges(project)]),
    ]


def _project(project: DemoProject) -> dict[str, Any]:
    summary = f"{project.title} 프로젝트입니다. {project.english}."
    story = f"{summary}\n\n{project.creator.name}의 작업실에서 시작했습니다. It began in a small workshop."
    return {
        "id": project.id,
        "slug": project.slug,
        "creator_id": project.creator.id,
        "category_id": ulid_of("project-category", project.category),
        "title": project.title,
        "summary": summary,
        "story": story,
        "search_text": folded(f"{project.title} {summary} {story}"),
        "media": [],
        "currency": "KRW",
        "goal_amount": project.goal,
        "pledged_amount": sum(pledge.total for pledge in project.pledges),
        "backer_count": len(project.pledges),
        "favorite_count": 0,
        "popularity": sum(int(pledge.created_at.timestamp()) // RECENT for pledge in project.pledges),
        "funding_model": "ALL_OR_NOTHING",
        "production_status": ("IDEA", "PROTOTYPE", "IN_PRODUCTION")[project.number % 3],
        "status": "OPEN",
        "opens_at": OPENED,
        "closes_at": project.closes_at,
        "published_at": OPENED + timedelta(hours=project.number),
        "version": 1,
        "created_at": EPOCH,
    }


def _rewards(project: DemoProject) -> Rows:
    claimed = {reward.id: 0 for reward in project.rewards}
    for pledge in project.pledges:
        claimed[pledge.reward.id] += pledge.quantity
    names = ("title", "description", "minimum_amount", "total_quantity", "estimated_delivery_on", "shipping_required")
    return [
        {name: getattr(reward, name) for name in names}
        | {"id": reward.id, "project_id": project.id, "claimed": claimed[reward.id]}
        for reward in project.rewards
    ]


def _pledges(project: DemoProject) -> Rows:
    return [
        {
            "id": pledge.id,
            "version": 1,
            "project_id": project.id,
            "reward_id": pledge.reward.id,
            "backer_id": pledge.backer.id,
            "quantity": pledge.quantity,
            "additional_amount": 0,
            "total": pledge.total,
            "currency": "KRW",
            "status": "RESERVED",
            "payment_method_id": None,
            "shipping_address_id": None,
            "created_at": pledge.created_at,
        }
        for pledge in project.pledges
    ]


async def announce_funding(tx: AsyncConnection) -> None:
    rows = (await tx.execute(select(funding_models.pledges))).mappings().all()
    for start in range(0, len(rows), 200):
        await record(tx, funding_models.outbox, SOURCE, [reserved(row) for row in rows[start : start + 200]])
