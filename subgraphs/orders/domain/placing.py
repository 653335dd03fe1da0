"""What an order costs and whether it may be placed: decided from copies of facts that others own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from subgraphs.kit.errors import Rejected
from subgraphs.kit.money import MAX_MINOR

MAX_LINES = 50
MAX_QUANTITY = 999

MISSING = "missing"
"""The extra of a refusal that names the ids of which nothing is known: worth another look when they are fresh."""


@dataclass(frozen=True, slots=True)
class Line:
    variant_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Variant:
    """The copy of a variant."""

    variant_id: str
    product_id: str
    sku: str
    name: str
    price: int
    currency: str
    shipping_profile_id: str
    purchasable: bool
    partner_id: str | None = None
    purchase_limit: int | None = None


@dataclass(frozen=True, slots=True)
class ShippingProfile:
    """What a seller's parcel costs."""

    currency: str
    base_fee: int
    remote_surcharge: int
    free_over: int | None = None

    def fee(self, subtotal: int, remote: bool) -> int:
        """For a parcel of goods worth ``subtotal``; the surcharge is due also when the parcel goes free."""
        free = self.free_over is not None and subtotal >= self.free_over
        return (0 if free else self.base_fee) + (self.remote_surcharge if remote else 0)


@dataclass(frozen=True, slots=True)
class PricedLine:
    variant: Variant
    quantity: int

    @property
    def total(self) -> int:
        return self.variant.price * self.quantity


@dataclass(frozen=True, slots=True)
class Priced:
    """Lines with today's prices and what sending them costs, in minor units of one currency."""

    lines: tuple[PricedLine, ...]
    currency: str
    shipping: int

    @property
    def subtotal(self) -> int:
        return sum(line.total for line in self.lines)

    @property
    def total(self) -> int:
        return self.subtotal + self.shipping


def check_quantity(quantity: int, field: Sequence[str]) -> int:
    """Raises Rejected INVALID outside 1 to 999."""
    if not 1 <= quantity <= MAX_QUANTITY:
        raise Rejected("INVALID", f"A quantity is between 1 and {MAX_QUANTITY}.", field)
    return quantity


def merge_lines(lines: Iterable[Line], field: Sequence[str]) -> tuple[Line, ...]:
    """One line a variant, in the order of first mention. Raises Rejected INVALID for too many or too much of one."""
    quantities: dict[str, int] = defaultdict(int)
    for index, line in enumerate(lines):
        quantities[line.variant_id] += check_quantity(line.quantity, [*field, str(index), "quantity"])
    if not quantities:
        raise Rejected("REQUIRED", "Name at least one product.", field)
    if len(quantities) > MAX_LINES:
        raise Rejected("INVALID", f"An order has at most {MAX_LINES} lines.", field)
    for quantity in quantities.values():
        check_quantity(quantity, field)
    return tuple(Line(variant_id, quantity) for variant_id, quantity in quantities.items())


def price(
    lines: Sequence[Line],
    variants: Mapping[str, Variant],
    profiles: Mapping[str, ShippingProfile],
    closed_partners: frozenset[str],
    *,
    remote: bool,
    field: Sequence[str],
) -> Priced:
    """What ``lines`` cost. ``closed_partners`` do not sell. Raises Rejected."""
    if unknown := [line.variant_id for line in lines if line.variant_id not in variants]:
        raise Rejected("NOT_FOUND", "There is no such product.", field, {MISSING: unknown})
    priced = []
    for line in lines:
        variant = variants[line.variant_id]
        if not variant.purchasable or variant.partner_id in closed_partners:
            raise Rejected("NOT_FOUND", f"{variant.name} is not for sale.", field)
        if variant.purchase_limit is not None and line.quantity > variant.purchase_limit:
            raise Rejected("INVALID", f"At most {variant.purchase_limit} of {variant.name} an order.", field)
        priced.append(PricedLine(variant, line.quantity))
    currencies = {line.variant.currency for line in priced}
    if len(currencies) != 1:
        raise Rejected("INVALID", "All lines of an order are in one currency.", field)
    fee = shipping_fee(priced, profiles, remote=remote, field=field)
    whole = Priced(tuple(priced), currencies.pop(), fee)
    if whole.total > MAX_MINOR:
        raise Rejected("INVALID", "This is more than an order can cost.", field)
    return whole


def shipping_fee(
    lines: Sequence[PricedLine], profiles: Mapping[str, ShippingProfile], *, remote: bool, field: Sequence[str]
) -> int:
    """One parcel a seller, at the dearest profile among its lines. Raises Rejected SERVICE_UNAVAILABLE for a profile
    that is not known: a missing price is never 0."""
    parcels: dict[str | None, list[PricedLine]] = defaultdict(list)
    for line in lines:
        parcels[line.variant.partner_id].append(line)
    fee = 0
    for parcel in parcels.values():
        wanted = {line.variant.shipping_profile_id for line in parcel}
        if missing := wanted - profiles.keys():
            raise Rejected(
                "SERVICE_UNAVAILABLE", "What shipping costs is not known right now.", field, {MISSING: missing}
            )
        usable = [profiles[profile] for profile in sorted(wanted)]
        if any(profile.currency != parcel[0].variant.currency for profile in usable):
            raise Rejected("SERVICE_UNAVAILABLE", "Shipping has no price in this currency.", field)
        dearest = max(usable, key=lambda profile: profile.base_fee)
        fee += dearest.fee(sum(line.total for line in parcel), remote)
    return fee
