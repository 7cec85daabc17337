"""Settings: one frozen dataclass per service, read from the environment, every fault named at once.

A field is `name: type = setting(...)`; its variable is the prefix and the name in capitals, unless `env`
gives another. A field that is itself a settings dataclass is a group and is read with the same prefix.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
PREFIX = "UMBRA_"


class SettingsError(ValueError):
    """Some settings are missing or malformed; the message has a line for each of them."""


def setting(
    *,
    doc: str,
    default: Any = MISSING,
    env: str | None = None,
    secret: bool = False,
    check: Callable[[Any], str | None] | None = None,
) -> Any:
    """Declare one setting.

    doc: what it does, with its unit and why the default is what it is
    env: the whole variable name where it is not prefix + field name
    check: says what is wrong with a value, or None
    """
    metadata = {"doc": doc, "env": env, "secret": secret, "check": check}
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


def at_least(least: float) -> Callable[[Any], str | None]:
    return lambda value: None if value >= least else f"must be at least {least}"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable as the documentation lists it."""

    name: str
    type: str
    default: str | None
    doc: str
    secret: bool


def load(cls: type[T], environ: Mapping[str, str], prefix: str = PREFIX) -> T:
    """Build `cls` from `environ`; SettingsError names every bad variable."""
    faults: list[str] = []
    loaded = _load(cls, environ, prefix, faults)
    if faults or loaded is None:
        raise SettingsError("\n".join(faults))
    return loaded


def variables(cls: type[Any], prefix: str = PREFIX) -> Iterator[Variable]:
    """Every variable of a settings class, groups included, in order."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from variables(typing.cast(type[Any], hint), prefix)
            continue
        default = None if field.default is MISSING else _shown(field.default)
        yield Variable(_name(field, prefix), _type_name(hint), default, field.metadata["doc"], field.metadata["secret"])


def _load(cls: type[T], environ: Mapping[str, str], prefix: str, faults: list[str]) -> T | None:
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    before = len(faults)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # T is always a settings dataclass
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            values[field.name] = _load(typing.cast(type[Any], hint), environ, prefix, faults)
        else:
            values[field.name] = _value(field, hint, environ, prefix, faults)
    if len(faults) > before:
        return None
    try:
        return cls(**values)
    except SettingsError as error:  # settings that are good alone and do not go together
        faults.extend(str(error).splitlines())
        return None


def _value(field: Any, hint: Any, environ: Mapping[str, str], prefix: str, faults: list[str]) -> Any:
    name = _name(field, prefix)
    text = environ.get(name, "").strip()
    if not text:
        if field.default is MISSING:
            faults.append(f"{name} is not set: {field.metadata['doc']}")
            return None
        return field.default
    try:
        value = _parse(text, hint)
    except ValueError as error:
        shown = "its value" if field.metadata["secret"] else repr(text)
        faults.append(f"{name}: {shown} is no {_type_name(hint)} ({error})")
        return None
    check = field.metadata["check"]
    complaint = check(value) if check else None
    if complaint:
        faults.append(f"{name}: {complaint}")
    return value


def _name(field: Any, prefix: str) -> str:
    return str(field.metadata["env"] or prefix + field.name.upper())


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _parse(text: str, hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _parse(text, next(arg for arg in typing.get_args(hint) if arg is not type(None)))
    if origin is typing.Literal:
        if text not in typing.get_args(hint):
            raise ValueError("one of " + ", ".join(typing.get_args(hint)))
        return text
    if origin is tuple:
        return tuple(_parse(part.strip(), typing.get_args(hint)[0]) for part in text.split(",") if part.strip())
    if hint is bool:
        if text.lower() not in _WORDS:
            raise ValueError("true or false")
        return _WORDS[text.lower()]
    return hint(text)


def _type_name(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_type_name(arg) for arg in typing.get_args(hint) if arg is not type(None))
    if origin is typing.Literal:
        return "one of " + ", ".join(typing.get_args(hint))
    if origin is tuple:
        return "comma-separated list"
    names = {bool: "true/false", int: "whole number", float: "number", str: "text", Path: "path"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _shown(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return "true" if default else "false"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    kafka_bootstrap: str = setting(doc="Kafka bootstrap servers, host:port separated by commas.")

    @property
    def bootstrap(self) -> str:
        return self.kafka_bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings:
    postgres_dsn: str = setting(doc="PostgreSQL connection URI of this service's own role.", secret=True)

    @property
    def dsn(self) -> str:
        return self.postgres_dsn


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeySettings:
    valkey_url: str = setting(doc="Valkey (or any Redis-protocol server) URL, redis://host:port/db.", secret=True)

    @property
    def url(self) -> str:
        return self.valkey_url


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    admin_host: str = setting(default="127.0.0.1", doc="Address of the admin listener: probes, metrics, docs.")
    admin_port: int = setting(default=9000, doc="Port of the admin listener; 0 takes a free one.", check=at_least(0))

    @property
    def host(self) -> str:
        return self.admin_host

    @property
    def port(self) -> int:
        return self.admin_port


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """What every process has: its name in logs, its log form, its time to drain."""

    instance: str = setting(default="local", doc="Name of this process in logs, metrics and answers.")
    log_format: typing.Literal["text", "json"] = setting(
        default="text", doc="Log lines for a person or for a collector."
    )
    log_level: typing.Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting(default="INFO", doc="Least level logged.")
    grace_seconds: float = setting(
        default=25.0, doc="Time to drain after SIGTERM, in seconds; below Kubernetes' 30.", check=at_least(0)
    )
