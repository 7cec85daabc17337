"""Settings come from the environment, and every bad one is named at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from services.kernel import settings
from services.kernel.settings import KafkaSettings, SettingsError, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    kafka: KafkaSettings
    port: int = setting(default=80, doc="Port.", check=settings.at_least(1))
    reads: bool = setting(default=False, env="ENABLE_READS", doc="Switch.")
    color: Literal["red", "blue"] = setting(default="red", doc="Colour.")
    keys: tuple[str, ...] = setting(default=(), doc="Keys.")
    secret: str = setting(doc="A secret.", secret=True)


GOOD = {"UMBRA_KAFKA_BOOTSTRAP": "127.0.0.1:1", "UMBRA_SECRET": "hush"}


def test_defaults_fill_what_is_not_set_and_groups_are_read_flat() -> None:
    loaded = settings.load(Example, GOOD)

    assert (loaded.kafka.bootstrap, loaded.port, loaded.reads, loaded.keys) == ("127.0.0.1:1", 80, False, ())


def test_values_are_parsed_by_type() -> None:
    loaded = settings.load(
        Example, GOOD | {"UMBRA_PORT": "8080", "ENABLE_READS": "Yes", "UMBRA_COLOR": "blue", "UMBRA_KEYS": "a, b"}
    )

    assert (loaded.port, loaded.reads, loaded.color, loaded.keys) == (8080, True, "blue", ("a", "b"))


def test_every_bad_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        settings.load(Example, {"UMBRA_PORT": "0", "ENABLE_READS": "maybe", "UMBRA_COLOR": "green"})

    named = str(error.value)
    for name in ("UMBRA_KAFKA_BOOTSTRAP", "UMBRA_PORT", "ENABLE_READS", "UMBRA_COLOR", "UMBRA_SECRET"):
        assert name in named


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    low: int = setting(default=1, doc="Low.")
    high: int = setting(default=2, doc="High.")

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise SettingsError("UMBRA_LOW is above UMBRA_HIGH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    together: Together
    kafka: KafkaSettings


def test_settings_that_do_not_go_together_are_named_with_the_others() -> None:
    with pytest.raises(SettingsError) as error:
        settings.load(Outer, {"UMBRA_LOW": "3"})

    assert str(error.value).splitlines()[0] == "UMBRA_LOW is above UMBRA_HIGH"
    assert "UMBRA_KAFKA_BOOTSTRAP" in str(error.value)


def test_a_secret_is_shown_neither_in_repr_nor_in_an_error() -> None:
    assert "hush" not in repr(settings.load(Example, GOOD))


def test_every_variable_is_listed_with_its_documentation() -> None:
    listed = {variable.name: variable for variable in settings.variables(Example)}

    assert listed["ENABLE_READS"].default == "false"
    assert listed["UMBRA_SECRET"].default is None
    assert all(variable.doc for variable in listed.values())
