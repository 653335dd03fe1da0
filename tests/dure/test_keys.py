"""``dure keys``, as an operator uses it on a shop's data."""

from __future__ import annotations

import pytest

from db import vault
from tests.dure.shop import Buyer, ShopProcess

pytestmark = pytest.mark.e2e


def test_a_new_key_takes_over_from_the_old_one(copied: tuple[ShopProcess, Buyer]) -> None:
    shop, _ = copied
    both = shop.dure("keys", "new").stdout.strip()
    names = [each.partition(":")[0] for each in both.split(",")]
    assert len(names) == 2
    new, old = names

    before = ShopProcess(shop.folder, {"DURE_DATA_KEYS": both})
    assert before.dure("keys", "status").stdout.splitlines()[0] == f"{new}: 0 values, 0 events"
    rotated = before.dure("keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    assert "users.user_account: 72 rows" in rotated.stdout
    assert before.dure("keys", "status").stdout.splitlines()[1].startswith(f"{old}: 0 values, ")

    after = ShopProcess(shop.folder, {"DURE_DATA_KEYS": both.split(",")[0]})
    status = after.dure("keys", "status")
    assert (status.returncode, len(status.stdout.splitlines())) == (0, 1)


def test_lost_and_unusable_keys_are_said(copied: tuple[ShopProcess, Buyer]) -> None:
    shop, _ = copied
    lost = ShopProcess(shop.folder, {"DURE_DATA_KEYS": f"other:{vault.new_key()}"}).dure("keys", "status")
    assert lost.returncode == 1
    assert "unreadable" in lost.stdout
    useless = ShopProcess(shop.folder, {"DURE_DATA_KEYS": "k1:c2hvcnQ="}).dure("keys", "rotate")
    assert useless.returncode == 1
    assert "not 32" in useless.stderr
    assert "Traceback" not in useless.stderr
