"""Applying to sell, deciding on applications, and who sees what of a seller."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from messaging.events.payments import PayoutAccountRequested, PayoutCompleted
from messaging.events.users import PartnerChanged, PayoutAccountChanged
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.users.models import (
    applications,
    idempotency,
    notifications,
    partner_members,
    partners,
    terms_agreements,
    user_roles,
)
from tests.subgraphs.users.conftest import PASSWORD, Member, World
from tests.subgraphs.users.test_sessions import refresh

APPLICATION = """application { id status businessName businessNumber rejectionReason reviewedAt
  applicant { id email } checks { kind status message } } userErrors { code field message }"""
SUBMIT = f"""mutation($input: PartnerApplicationInput!, $key: String!) {{
  partnerApplicationSubmit(input: $input, idempotencyKey: $key) {{ {APPLICATION} }} }}"""
REVIEW = f"""mutation($id: ID!, $decision: PartnerApplicationStatus!, $reason: String) {{
  partnerApplicationReview(id: $id, decision: $decision, reason: $reason) {{ {APPLICATION} }} }}"""
PARTNER = """query($id: ID, $slug: String) { partner(id: $id, slug: $slug) {
  id slug name status businessNumber application { id } } }"""
LIST = """query($status: PartnerApplicationStatus, $after: String) {
  partnerApplications(status: $status, first: 1, after: $after) {
    totalCount edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }"""

# Real numbers' shape; the check digits are right.
NUMBER, OTHER_NUMBER = "1248100998", "2208162517"


def facts(**more: Any) -> dict[str, Any]:
    return {
        "businessName": "Dure 커피",
        "businessNumber": "124-81-00998",
        "representativeName": "김두레",
        "contactPhone": "02-312-3456",
        "bankCode": "004",
        "bankAccountNumber": "123-456-789012",
        **more,
    }


async def submit(world: World, member: Member, key: str = "k1", **more: Any) -> dict[str, Any]:
    answer = await world.ask(SUBMIT, member, input=facts(**more), key=key)
    assert "errors" not in answer, answer
    payload: dict[str, Any] = answer["data"]["partnerApplicationSubmit"]
    return payload


async def review(world: World, admin: Member, id: str, decision: str, reason: str | None = None) -> dict[str, Any]:
    answer = await world.ask(REVIEW, admin, id=id, decision=decision, reason=reason)
    assert "errors" not in answer, answer
    payload: dict[str, Any] = answer["data"]["partnerApplicationReview"]
    return payload


async def test_an_application_is_checked_approved_and_sells(any_world: World) -> None:
    member, admin = await any_world.member(), await any_world.admin()
    made = (await submit(any_world, member))["application"]
    assert made["status"] == "SUBMITTED"
    assert made["businessNumber"] == NUMBER
    assert made["applicant"] == {"id": member.global_id, "email": member.email}
    checks = {each["kind"]: each["status"] for each in made["checks"]}
    assert checks == {
        "BUSINESS_NUMBER": "PASSED",
        "CONTACT": "PASSED",
        "BANK_ACCOUNT": "PENDING",
        "TERMS": "PASSED",
        "MANUAL_REVIEW": "PENDING",
    }
    assert (await review(any_world, admin, made["id"], "IN_REVIEW"))["application"]["reviewedAt"] is None
    approved = (await review(any_world, admin, made["id"], "APPROVED"))["application"]
    assert approved["status"] == "APPROVED"
    assert {each["kind"]: each["status"] for each in approved["checks"]} == {
        **checks,
        "BANK_ACCOUNT": "WAIVED",
        "MANUAL_REVIEW": "PASSED",
    }
    (told,) = await any_world.told(PartnerChanged)
    assert (told.name, told.status, told.member_ids) == ("Dure 커피", "ACTIVE", (member.id,))
    assert told.slug.startswith("dure-")
    (account,) = await any_world.told(PayoutAccountChanged)
    assert (account.partner_id, account.bank_code) == (told.partner_id, "004")
    assert "123456789012" not in account.bank_account_number, "sealed on its way"
    await any_world.tell(PayoutAccountRequested(partner_id=told.partner_id))
    await any_world.tell(PayoutAccountRequested(partner_id=new_ulid()))
    assert [each.partner_id for each in await any_world.told(PayoutAccountChanged)] == [told.partner_id] * 2

    tokens = (await refresh(any_world, member.refresh_token))["tokens"]
    seller = any_world.holder(tokens, member.email, await any_world.keys())
    assert "partner:self" in seller.scopes
    mine = await any_world.ask("{ me { roles partner { slug members { id } businessNumber } } }", seller)
    assert mine["data"]["me"]["partner"] == {
        "slug": told.slug,
        "members": [{"id": member.global_id}],
        "businessNumber": NUMBER,
    }
    assert mine["data"]["me"]["roles"] == ["CREATOR", "CUSTOMER", "PARTNER"]
    letter = (await any_world.mails(member.email))[0]
    assert letter["kind"] == "PARTNER_APPLICATION_REVIEWED"
    paid = PayoutCompleted(
        payout_id=new_ulid(),
        settlement_id=new_ulid(),
        partner_id=told.partner_id,
        amount=12_000,
        currency="KRW",
        period_start=date(2026, 11, 1),
        period_end=date(2026, 12, 1),
    )
    (event_id,) = await any_world.tell(paid)
    await any_world.tell(paid, ids=[event_id])
    news = {each.type: each.body for each in await any_world.rows(notifications)}
    assert news["SETTLEMENT_PAID"] == "2026-11-01 ~ 2026-11-30 정산금 12,000 KRW이 등록하신 계좌로 입금되었습니다."
    assert await any_world.audit() == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"businessNumber": "1248100997"}, "businessNumber"),
        ({"businessNumber": "12"}, "businessNumber"),
        ({"businessName": " "}, "businessName"),
        ({"representativeName": "x" * 101}, "representativeName"),
        ({"contactPhone": "nonsense"}, "contactPhone"),
        ({"bankCode": "abc"}, "bankCode"),
        ({"bankAccountNumber": "1"}, "bankAccountNumber"),
        ({"bankAccountNumber": "9" * 17}, "bankAccountNumber"),
    ],
)
async def test_a_malformed_application_is_refused_and_its_key_stays_free(
    world: World, given: dict[str, Any], field: str
) -> None:
    member = await world.member()
    refused = await submit(world, member, **given)
    assert [(each["code"], each["field"]) for each in refused["userErrors"]] == [("INVALID", ["input", field])]
    assert await world.rows(applications) == []
    assert await world.rows(idempotency) == []
    assert (await submit(world, member))["application"]


async def test_the_same_key_gives_the_same_application_and_other_input_a_conflict(any_world: World) -> None:
    member = await any_world.member()
    answers = await asyncio.gather(*(submit(any_world, member) for _ in range(4)))
    assert len({each["application"]["id"] for each in answers}) == 1
    conflict = await submit(any_world, member, businessName="Other")
    assert conflict["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"
    assert (await submit(any_world, member, key=""))["userErrors"][0]["code"] == "INVALID"
    assert len(await any_world.rows(applications)) == 1


async def test_one_application_at_a_time_and_a_number_once(any_world: World) -> None:
    member, rival = await any_world.member(), await any_world.member("rival@example.com")
    await submit(any_world, member)
    assert (await submit(any_world, member, key="k2"))["userErrors"][0]["code"] == "NOT_ALLOWED"
    assert (await submit(any_world, rival))["userErrors"][0]["code"] == "DUPLICATE_BUSINESS_NUMBER"
    assert (await submit(any_world, rival, businessNumber=OTHER_NUMBER))["application"]


async def test_two_applicants_with_one_number_at_once(server_world: World) -> None:
    rivals = [await server_world.member(f"rival{number}@example.com") for number in range(4)]
    answers = await asyncio.gather(*(submit(server_world, each) for each in rivals))
    codes = [error["code"] for each in answers for error in each["userErrors"]]
    assert codes == ["DUPLICATE_BUSINESS_NUMBER"] * 3
    assert len(await server_world.rows(applications)) == 1


async def test_an_unconfirmed_address_may_not_apply(world: World) -> None:
    member = await world.member(verified=False)
    assert (await submit(world, member))["userErrors"][0]["code"] == "EMAIL_NOT_VERIFIED"


async def test_changes_are_asked_for_and_made(world: World) -> None:
    member, admin = await world.member(), await world.admin()
    first = (await submit(world, member))["application"]
    missing = await review(world, admin, first["id"], "CHANGES_REQUESTED", " ")
    assert [(each["code"], each["field"]) for each in missing["userErrors"]] == [("REQUIRED", ["reason"])]
    asked = await review(world, admin, first["id"], "CHANGES_REQUESTED", "The name is misspelt.")
    assert asked["application"]["rejectionReason"] == "The name is misspelt."
    assert (await review(world, admin, first["id"], "APPROVED"))["userErrors"][0]["code"] == "NOT_ALLOWED"
    again = (await submit(world, member, key="k2", businessName="Dure"))["application"]
    assert (again["id"], again["status"], again["rejectionReason"]) == (first["id"], "SUBMITTED", None)


async def test_a_rejected_applicant_may_try_again(world: World) -> None:
    member, admin = await world.member(), await world.admin()
    first = (await submit(world, member))["application"]
    rejected = (await review(world, admin, first["id"], "REJECTED", "No."))["application"]
    assert rejected["status"] == "REJECTED"
    assert {each["kind"]: each["status"] for each in rejected["checks"]}["MANUAL_REVIEW"] == "FAILED"
    assert (await review(world, admin, first["id"], "APPROVED"))["userErrors"][0]["code"] == "NOT_ALLOWED"
    assert (await submit(world, member, key="k2"))["application"]["id"] != first["id"]
    assert await world.told(PartnerChanged) == []
    assert await world.audit() == []


async def test_a_failed_check_cannot_be_approved(world: World) -> None:
    member, admin = await world.member(), await world.admin()
    await world.run(delete(terms_agreements))
    made = (await submit(world, member))["application"]
    assert {each["kind"]: each["status"] for each in made["checks"]}["TERMS"] == "FAILED"
    assert (await review(world, admin, made["id"], "APPROVED"))["userErrors"][0]["code"] == "NOT_ALLOWED"
    assert await world.rows(partners) == []


async def test_two_approvals_at_once_make_one_seller(server_world: World) -> None:
    member, admin = await server_world.member(), await server_world.admin()
    made = (await submit(server_world, member))["application"]
    answers = await asyncio.gather(*(review(server_world, admin, made["id"], "APPROVED") for _ in range(4)))
    assert sum(not each["userErrors"] for each in answers) == 1
    assert len(await server_world.told(PartnerChanged)) == 1


async def test_only_reviewers_review_and_list(world: World) -> None:
    member = await world.member()
    made = (await submit(world, member))["application"]
    for query, given in ((REVIEW, {"id": made["id"], "decision": "APPROVED"}), (LIST, {})):
        answer = await world.ask(query, member, **given)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await world.column(select(applications.c.status))) == ["SUBMITTED"]
    admin = await world.admin()
    for unknown in (global_id("PartnerApplication", new_ulid()), member.global_id):
        assert (await review(world, admin, unknown, "APPROVED"))["userErrors"][0]["code"] == "NOT_FOUND"


async def test_applications_are_listed_page_by_page(world: World) -> None:
    member, rival, admin = await world.member(), await world.member("rival@example.com"), await world.admin()
    ids = [
        (await submit(world, member))["application"]["id"],
        (await submit(world, rival, businessNumber=OTHER_NUMBER))["application"]["id"],
    ]
    await review(world, admin, ids[0], "IN_REVIEW")
    first = (await world.ask(LIST, admin))["data"]["partnerApplications"]
    assert first["totalCount"] == 2
    assert [edge["node"]["id"] for edge in first["edges"]] == [ids[1]]
    assert first["pageInfo"]["hasNextPage"]
    second = (await world.ask(LIST, admin, after=first["pageInfo"]["endCursor"]))["data"]["partnerApplications"]
    assert [edge["node"]["id"] for edge in second["edges"]] == [ids[0]]
    assert not second["pageInfo"]["hasNextPage"]
    in_review = (await world.ask(LIST, admin, status="IN_REVIEW"))["data"]["partnerApplications"]
    assert [edge["node"]["id"] for edge in in_review["edges"]] == [ids[0]]
    forged = await world.ask(LIST, admin, after="forged")
    assert forged["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_sellers_secrets_are_its_members(world: World) -> None:
    member, admin = await world.member(), await world.admin()
    made = (await submit(world, member))["application"]
    await review(world, admin, made["id"], "APPROVED")
    (row,) = await world.rows(partners)
    stranger = await world.member("stranger@example.com")
    public = {"id": global_id("Partner", row.id), "slug": row.slug, "name": "Dure 커피", "status": "ACTIVE"}
    for viewer in (None, stranger):
        seen = (await world.ask(PARTNER, viewer, slug=row.slug))["data"]["partner"]
        assert seen == {**public, "businessNumber": None, "application": None}
    seen = (await world.ask(PARTNER, member, id=public["id"]))["data"]["partner"]
    assert seen == {**public, "businessNumber": NUMBER, "application": {"id": made["id"]}}
    denied = await world.ask("query($s: String) { partner(slug: $s) { members { id } } }", stranger, s=row.slug)
    assert denied["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await world.ask(PARTNER, id=member.global_id))["data"]["partner"] is None
    assert (await world.ask(PARTNER))["data"]["partner"] is None


async def test_the_only_member_of_a_seller_cannot_withdraw(world: World) -> None:
    member, admin = await world.member(), await world.admin()
    made = (await submit(world, member))["application"]
    await review(world, admin, made["id"], "APPROVED")
    answer = await world.ask(
        f'mutation {{ accountDelete(password: "{PASSWORD}") {{ userErrors {{ code field }} }} }}', member
    )
    assert answer["data"]["accountDelete"]["userErrors"] == [{"code": "NOT_ALLOWED", "field": ["partner"]}]


WITHDRAW = f'mutation {{ accountDelete(password: "{PASSWORD}") {{ userErrors {{ code field }} }} }}'


@pytest.mark.parametrize("decision", ["REJECTED", "CHANGES_REQUESTED", None])
async def test_who_withdraws_leaves_nothing_personal_in_applications(world: World, decision: str | None) -> None:
    member, admin = await world.member(), await world.admin()
    made = (await submit(world, member))["application"]
    if decision:
        await review(world, admin, made["id"], decision, "No.")
    assert (await world.ask(WITHDRAW, member))["data"]["accountDelete"]["userErrors"] == []
    (row,) = await world.rows(applications)
    assert (row.status, row.representative_name, row.contact_phone, row.bank_account_number) == ("REJECTED", "", "", "")
    assert await world.audit() == []


async def test_who_withdraws_no_longer_works_for_the_seller_and_others_are_told(world: World) -> None:
    member, other, admin = await world.member(), await world.member("other@people.example"), await world.admin()
    await review(world, admin, (await submit(world, member))["application"]["id"], "APPROVED")
    (seller,) = await world.rows(partners)
    async with world.database.transaction() as tx:
        await tx.execute(insert(partner_members).values(user_id=other.id, partner_id=seller.id))
        await tx.execute(insert(user_roles).values(user_id=other.id, role="PARTNER"))
    assert (await world.ask(WITHDRAW, member))["data"]["accountDelete"]["userErrors"] == []
    before, after = await world.told(PartnerChanged)
    assert (before.member_ids, after.member_ids) == ((member.id,), (other.id,))
    assert after.version > before.version
    assert await world.audit() == []
