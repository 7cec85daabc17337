"""Whether the org tells of its changes: entities selected, topics readable, schemas with the mapped fields."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.mapping import Mapping as FieldMapping
from services.kernel.errors import UmbraError
from services.ops.checks.findings import Finding, fail, ok, warn
from services.ops.checks.shape import ASSIGN, DEPLOY
from services.salesforce.errors import SalesforceError
from services.salesforce.pubsub import avro
from services.salesforce.pubsub.avro import Undecodable
from services.salesforce.pubsub.bitmaps import Path
from services.salesforce.pubsub.changes import rest_name
from services.salesforce.pubsub.client import PubSub
from services.salesforce.pubsub.errors import AllowanceSpent, AuthRejected, Interrupted, TopicRefused
from services.salesforce.settings import SalesforceSettings

CHECK = "salesforce.events"
_SUBSCRIBE_SECONDS = 4.0
_PERMISSION = ("permission", "cannot.subscribe")
_VIEW_ALL = (
    "the user needs View All Records on the object, or View All Data where the object has no such right "
    "(Setup, Permission Sets, Umbra Integration)"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the Pub/Sub API says of a topic. fields: of its schema, none while error says why not"""

    topic: str
    can_subscribe: bool = False
    fields: frozenset[str] = frozenset()
    error: UmbraError | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a short subscription. delivered: events that it cost; error: why it was refused, None if not"""

    topic: str
    delivered: int = 0
    error: UmbraError | None = None


def check_of(topic: str) -> str:
    return f"{CHECK}.{topic.rpartition('/')[2]}"


async def look(pubsub: PubSub, topic: str) -> Seen:
    """Topic and schema; neither is a delivery nor an API call."""
    try:
        info = await pubsub.topic(topic)
        fields = fields_of(info.schema_id, await pubsub.schema(info.schema_id))
    except (SalesforceError, Undecodable) as error:
        return Seen(topic, error=error)
    return Seen(topic, info.can_subscribe, fields)


def fields_of(schema_id: str, schema: str) -> frozenset[str]:
    """The fields that an event's schema carries, by the names that records have. Raises Undecodable."""
    layout = avro.parse(schema_id, schema).layout
    paths = (path for slot in layout for path in (Path(slot.name), *(Path(slot.name, part) for part in slot.parts)))
    return frozenset(rest_name(path) for path in paths)


async def subscribe(pubsub: PubSub, topic: str) -> Tried:
    """Ask for one event that is kept, and wait no longer than a refusal takes."""
    try:
        async with asyncio.timeout(_SUBSCRIBE_SECONDS), pubsub.subscribed(topic, None, 1) as stream:
            deliveries = [each for fetched in await stream.receive() for each in fetched.deliveries]
    except TimeoutError:
        return Tried(topic)
    except SalesforceError as error:
        return Tried(topic, error=error)
    try:
        for each in deliveries:
            avro.parse(each.schema_id, await pubsub.schema(each.schema_id)).decode(each.payload)
    except (SalesforceError, Undecodable) as error:
        return Tried(topic, len(deliveries), error)
    return Tried(topic, len(deliveries))


def proof(tried: Tried, settings: SalesforceSettings) -> Finding:
    check = f"salesforce.subscribe.{tried.topic.rpartition('/')[2]}"
    if isinstance(tried.error, AllowanceSpent):
        remedy = "wait for deliveries of the last 24 hours to fall out of the window, or buy the add-on"
        return fail(check, f"{tried.topic}: {tried.error}", remedy)
    if tried.error is not None:
        return _refused(check, tried.topic, tried.error, settings)
    if tried.delivered:
        return ok(check, f"{tried.topic}: an event was received and decoded")
    return ok(check, f"{tried.topic}: not refused; no event of the last 72 hours is kept")


def judge(seen: Seen, mapping: FieldMapping, settings: SalesforceSettings) -> Finding:
    """One topic: is it there, may it be read, does it carry what the mapping wants?"""
    check = check_of(seen.topic)
    if seen.error is not None:
        return _refused(check, seen.topic, seen.error, settings)
    if not seen.can_subscribe:
        return fail(check, f"{seen.topic} may not be subscribed to", _VIEW_ALL)
    missing = sorted(_wanted(seen.topic, mapping) - seen.fields)
    if missing and seen.topic.startswith("/event/"):
        return fail(check, f"{seen.topic} lacks {', '.join(missing)}", f"{DEPLOY}, or correct [order_status.event]")
    if missing:
        names = ", ".join(missing)
        return warn(
            check,
            f"its events never carry {names}: a change is seen with the next read only",
            f"nothing where {names} is computed by Salesforce; else see salesforce.mapping",
        )
    return ok(check, f"{seen.topic} can be subscribed to and carries every mapped field")


def _wanted(topic: str, mapping: FieldMapping) -> set[str]:
    entity = topic.rpartition("/")[2]
    if topic.startswith("/event/"):
        return set(mapping.order_status.event.values()) - {entity}
    name = entity.removesuffix("ChangeEvent")
    # An org without multi-currency has none, and the mapping's own check says so.
    return set(mapping.objects[name].fields) - {"CurrencyIsoCode"} if name in mapping.objects else set()


def _refused(check: str, topic: str, error: UmbraError, settings: SalesforceSettings) -> Finding:
    said = f"{topic}: {error}"
    if isinstance(error, TopicRefused) and any(word in str(error).lower() for word in _PERMISSION):
        return fail(check, said, f"{ASSIGN}; {_VIEW_ALL}")
    if isinstance(error, TopicRefused):
        return fail(check, f"there is no {topic}, or it may not be seen", f"{DEPLOY}; {ASSIGN}")
    if isinstance(error, AuthRejected):
        return fail(check, said, "check that UMBRA_SALESFORCE_PUBSUB serves this org, and the user's IP restrictions")
    if isinstance(error, Interrupted):
        return fail(
            check,
            said,
            f"let this machine reach {settings.salesforce_pubsub} by HTTP/2 with TLS (firewall, proxy), or correct "
            "UMBRA_SALESFORCE_PUBSUB",
        )
    return fail(check, said, "try again in some minutes; see Salesforce's status page when it stays")


def selection(members: Collection[Mapping[str, Any]] | SalesforceError, topics: Collection[str]) -> Finding:
    """Are the entities selected? A topic of one that is not can be subscribed to, and nothing ever comes."""
    check = "salesforce.selection"
    entities = [topic.removeprefix("/data/") for topic in topics if topic.startswith("/data/")]
    if isinstance(members, SalesforceError):
        return warn(
            check,
            f"which entities are selected for change events cannot be read: {members}",
            f"{ASSIGN} (View Setup and Configuration); or look yourself: Setup, Change Data Capture",
        )
    selected = {str(member.get("SelectedEntity")) for member in members}
    missing = [entity for entity in entities if entity not in selected]
    if missing:
        return fail(
            check,
            f"not selected for change events, so none would ever come: {', '.join(missing)}",
            f"{DEPLOY}; or Setup, Change Data Capture: select them",
        )
    return ok(check, f"selected for change events: {', '.join(entities)}")
