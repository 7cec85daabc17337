"""Signing keys that prove nothing are refused, in every service that signs."""

from __future__ import annotations

import pytest

from services.kernel import settings
from services.kernel.settings import SettingsError
from services.kernel.signing import DEMO_KEY, SigningSettings

GOOD = "k" * 32


def test_two_good_keys_are_taken_in_order() -> None:
    loaded = settings.load(SigningSettings, {"UMBRA_CURSOR_KEYS": f"{GOOD}, {GOOD}2"})

    assert loaded.cursor_keys == (GOOD, f"{GOOD}2")


@pytest.mark.parametrize("keys", ["", "short", f"{GOOD},short", DEMO_KEY])
def test_missing_short_and_demo_keys_are_refused_by_name(keys: str) -> None:
    with pytest.raises(SettingsError, match="UMBRA_CURSOR_KEYS") as error:
        settings.load(SigningSettings, {"UMBRA_CURSOR_KEYS": keys})

    assert not keys or keys not in str(error.value)


def test_development_takes_the_demo_key() -> None:
    loaded = settings.load(SigningSettings, {"UMBRA_CURSOR_KEYS": DEMO_KEY, "UMBRA_DEVELOPMENT": "true"})

    assert loaded.cursor_keys == (DEMO_KEY,)
