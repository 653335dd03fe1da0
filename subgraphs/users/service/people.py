"""Finding people. What is sealed can be found whole only: an e-mail address or a phone number, not a part of one."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import ColumnElement, or_

from subgraphs.users import domain
from subgraphs.users.models import email_index, phone_index, users


def matching(text: str) -> ColumnElement[bool]:
    """Whose display name contains the text, or whose e-mail address or phone number it is."""
    found: list[ColumnElement[bool]] = [users.c.display_name.icontains(text, autoescape=True)]
    with suppress(domain.Invalid):
        found.append(users.c.email_index == email_index(domain.clean_email(text)))
    with suppress(domain.Invalid):
        found.append(users.c.phone_index == phone_index(domain.clean_phone(text)))
    return or_(*found)
