"""Applying to sell, and deciding on applications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import insert_ignore
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.users import domain, letters, models
from subgraphs.users.models import (
    AnyRow,
    application_checks,
    applications,
    partner_members,
    partners,
    terms_agreements,
    user_roles,
    users,
)
from subgraphs.users.service.announce import announce_accounts, announce_partners
from subgraphs.users.service.checked import Checks
from subgraphs.users.service.deps import Deps
from subgraphs.users.service.notifications import Notice, notify, tell
from subgraphs.users.service.sessions import require_alive

MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Application:
    """What an applicant typed."""

    business_name: str
    business_number: str
    representative_name: str
    contact_phone: str
    bank_code: str
    bank_account_number: str


async def submit(deps: Deps, identity: Identity, given: Application, key: str) -> str:
    """Submit an application, or submit again one that was sent back for changes; its id.

    Raises Rejected(Together) INVALID, EMAIL_NOT_VERIFIED, NOT_ALLOWED (one is under way, or he sells already),
    DUPLICATE_BUSINESS_NUMBER, IDEMPOTENCY_CONFLICT.
    """
    user_id = identity.require_user()
    scope = f"{user_id}:partnerApplicationSubmit"
    request = idempotency.Request(scope, idempotency.check_key(key), asdict(given), new_ulid())
    facts = _checked(given)

    async def work(tx: AsyncConnection) -> str:
        await require_alive(tx, identity)
        earlier = await idempotency.claim_one(tx, models.idempotency, request)
        if earlier is not None:
            return str(earlier["id"])
        id = await _submit(tx, deps, user_id, facts)
        await idempotency.answer(tx, models.idempotency, [(request, {"id": id})])
        return id

    try:
        return await deps.database.run(work)
    except IntegrityError:
        # Two at the same moment: the unique keys of live applications and numbers decide.
        raise Rejected(
            "DUPLICATE_BUSINESS_NUMBER", "This number has an application already.", ["input", "businessNumber"]
        ) from None


def _checked(given: Application) -> dict[str, str]:
    checks = Checks()

    def text(value: str, what: str, field: str) -> str:
        return checks.value(lambda: domain.clean_text(value, what=what, limit=100), ["input", field], "")

    def digits(value: str, what: str, field: str, shortest: int, longest: int) -> str:
        clean = lambda: domain.clean_digits(value, what=what, shortest=shortest, longest=longest)  # noqa: E731
        return checks.value(clean, ["input", field], "")

    facts = {
        "business_name": text(given.business_name, "A business name", "businessName"),
        "business_number": checks.value(
            lambda: domain.clean_business_number(given.business_number), ["input", "businessNumber"], ""
        ),
        "representative_name": text(given.representative_name, "A name", "representativeName"),
        "contact_phone": checks.value(lambda: domain.clean_phone(given.contact_phone), ["input", "contactPhone"], ""),
        "bank_code": digits(given.bank_code, "A bank code", "bankCode", 2, 3),
        "bank_account_number": digits(given.bank_account_number, "An account number", "bankAccountNumber", 8, 16),
    }
    checks.done()
    return facts


async def _submit(tx: AsyncConnection, deps: Deps, user_id: str, facts: dict[str, str]) -> str:
    # The lock makes the applicant's submissions one after another.
    user = (await tx.execute(select(users).where(users.c.id == user_id).with_for_update())).one()
    if user.email_verified_at is None:
        raise Rejected("EMAIL_NOT_VERIFIED", "Confirm your e-mail address first.")
    if (await tx.execute(select(partner_members).where(partner_members.c.user_id == user_id))).one_or_none():
        raise Rejected("NOT_ALLOWED", "You sell already.")
    mine = (await tx.execute(select(applications).where(applications.c.live_applicant_id == user_id))).one_or_none()
    if mine is not None and mine.status != domain.CHANGES_REQUESTED:
        raise Rejected("NOT_ALLOWED", "You have an application under way.")
    same = select(applications.c.id).where(applications.c.live_business_number == facts["business_number"])
    if (await tx.execute(same)).scalar() not in (None, mine and mine.id) or await _sells(tx, facts["business_number"]):
        raise Rejected(
            "DUPLICATE_BUSINESS_NUMBER", "This number has an application already.", ["input", "businessNumber"]
        )
    row: dict[str, Any] = {
        **facts,
        "status": domain.SUBMITTED,
        "rejection_reason": None,
        "submitted_at": deps.now(),
        "reviewed_at": None,
        "reviewer_id": None,
        "partner_id": None,
        "live_applicant_id": user_id,
        "live_business_number": facts["business_number"],
    }
    if mine is None:
        id = new_ulid()
        await tx.execute(insert(applications), [{"id": id, "applicant_id": user_id, **row}])
    else:
        id = mine.id
        await tx.execute(update(applications).where(applications.c.id == id).values(**row))
    agreed = (await tx.execute(select(terms_agreements).where(terms_agreements.c.user_id == user_id).limit(1))).first()
    await _write_checks(tx, id, domain.checks_at_submission(terms_agreed=agreed is not None))
    return id


async def _sells(tx: AsyncConnection, business_number: str) -> bool:
    found = await tx.execute(select(partners.c.id).where(partners.c.business_number == business_number))
    return found.one_or_none() is not None


async def _write_checks(tx: AsyncConnection, application_id: str, checks: Sequence[domain.Check]) -> None:
    await tx.execute(delete(application_checks).where(application_checks.c.application_id == application_id))
    await tx.execute(
        insert(application_checks), [{"application_id": application_id, **asdict(each)} for each in checks]
    )


async def review(deps: Deps, identity: Identity, application_id: str, decision: str, reason: str | None) -> str:
    """Decide on an application; approval makes the seller and its first member. The application's id.

    Raises Rejected NOT_FOUND, REQUIRED (a reason), NOT_ALLOWED (already decided, or a check failed).
    """
    identity.require_scope("partners:review")
    text = (reason or "").strip()
    if domain.needs_reason(decision) and not text:
        raise Rejected("REQUIRED", "Say why.", ["reason"])
    if len(text) > MAX_REASON:
        raise Rejected("INVALID", f"A reason has at most {MAX_REASON} characters.", ["reason"])

    async def work(tx: AsyncConnection) -> list[str]:
        reviewer = await require_alive(tx, identity)
        query = select(applications).where(applications.c.id == application_id).with_for_update()
        row = (await tx.execute(query)).one_or_none()
        if row is None:
            raise Rejected("NOT_FOUND", "No application has this id.", ["id"])
        if decision not in domain.DECISIONS[row.status]:
            raise Rejected(
                "NOT_ALLOWED", f"An application that is {row.status} cannot become {decision}.", ["decision"]
            )
        await _decide(tx, deps, row, decision, text or None, reviewer)
        if decision == domain.IN_REVIEW:
            return []
        return await notify(tx, deps, [_decision_notice(row, decision, text, deps.now())])

    told = await deps.database.run(work)
    deps.wake()
    await tell(deps, told)
    return application_id


async def _decide(
    tx: AsyncConnection, deps: Deps, row: AnyRow, decision: str, reason: str | None, reviewer: str
) -> None:
    query = select(application_checks).where(application_checks.c.application_id == row.id)
    checks = [domain.Check(each.kind, each.status, each.message) for each in await tx.execute(query)]
    if decision == domain.APPROVED and any(check.status == "FAILED" for check in checks):
        raise Rejected("NOT_ALLOWED", "A check has failed.", ["decision"])
    await _write_checks(tx, row.id, domain.checks_after_decision(checks, decision))
    changes: dict[str, Any] = {"status": decision, "rejection_reason": reason, "reviewer_id": reviewer}
    if decision != domain.IN_REVIEW:
        changes["reviewed_at"] = deps.now()
    if decision == domain.REJECTED:
        changes |= {"live_applicant_id": None, "live_business_number": None}
    if decision == domain.APPROVED:
        changes |= {"partner_id": await _found_partner(tx, deps, row), "rejection_reason": None}
    await tx.execute(update(applications).where(applications.c.id == row.id).values(**changes))
    if decision == domain.APPROVED:
        await announce_accounts(tx, [changes["partner_id"]])


async def _found_partner(tx: AsyncConnection, deps: Deps, row: AnyRow) -> str:
    id = new_ulid()
    seller = {
        "id": id,
        "version": 1,
        "slug": domain.slug_of(row.business_name, id[-6:]),
        "name": row.business_name,
        "logo_url": None,
        "description": None,
        "status": "ACTIVE",
        "business_number": row.business_number,
        "created_at": deps.now(),
    }
    await tx.execute(insert(partners), [seller])
    await tx.execute(insert(partner_members), [{"user_id": row.applicant_id, "partner_id": id}])
    await insert_ignore(tx, user_roles, [{"user_id": row.applicant_id, "role": domain.Role.PARTNER.value}])
    await announce_partners(tx, [id])
    return id


def _decision_notice(row: AnyRow, decision: str, reason: str, now: datetime) -> Notice:
    facts = letters.decision_facts(row.business_name, decision, reason)
    event_id = f"{row.id}:{int(now.timestamp() * 1000)}:{decision}"
    return Notice(event_id, row.applicant_id, "PARTNER_APPLICATION_REVIEWED", facts, ("PartnerApplication", row.id))
