"""Rows against the org, field by field. Written apart from the services' own code, so that no mistake hides in both."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg

from schemas.mapping import Field, Mapping, ObjectMapping

_SHADOWS = {
    "Product2": ("sf_product_shadow", "product_id"),
    "PricebookEntry": ("sf_pricebook_shadow", "pricebook_entry_id"),
    "Account": ("sf_account_eligibility_shadow", "account_id"),
    "Order": ("sf_order_shadow", "order_id"),
}


def same(field: Field, org: Any, ours: Any) -> bool:
    """Whether two values of one field say the same, whatever form each has."""
    if org in (None, "") or ours is None:
        return (org in (None, "")) and ours is None
    match field.type:
        case "decimal":
            return Decimal(str(org)) == Decimal(str(ours))
        case "datetime":
            return _moment(str(org)) == _moment(str(ours))
        case _:
            return str(org) == str(ours) if not isinstance(org, bool) else org is ours


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("+0000", "+00:00").replace("Z", "+00:00"))


async def org_records(session: aiohttp.ClientSession, control: str, name: str) -> dict[str, dict[str, Any]]:
    async with session.get(f"{control}/records/{name}") as answer:
        answer.raise_for_status()
        return {record["Id"]: record for record in (await answer.json())["records"]}


async def differences(
    session: aiohttp.ClientSession, control: str, connection: asyncpg.Connection, mapping: Mapping
) -> list[str]:
    """What differs between the org and the state, and between the org and the shadow tables."""
    found: list[str] = []
    for name, spec in mapping.objects.items():
        org = await org_records(session, control, name)
        found += await _in_state(connection, spec, org)
        found += await _in_shadow(connection, spec, org)
    return found


async def _in_state(connection: asyncpg.Connection, spec: ObjectMapping, org: dict[str, Any]) -> list[str]:
    rows = await connection.fetch("SELECT record_id, payload FROM sf_record WHERE object = $1", spec.name)
    states = {row["record_id"]: json.loads(row["payload"]) for row in rows}
    found = [f"{spec.name} {key} is not in the org" for key in states.keys() - org.keys()]
    for key, record in org.items():
        if key not in states:
            found.append(f"{spec.name} {key} is unknown")
            continue
        found += _record(spec, key, record, states[key])
    return found


def _record(spec: ObjectMapping, key: str, record: dict[str, Any], state: dict[str, Any]) -> list[str]:
    if record["IsDeleted"] or state.get("IsDeleted"):
        alike = bool(record["IsDeleted"]) == bool(state.get("IsDeleted"))
        return [] if alike else [f"{spec.name} {key}: deleted {record['IsDeleted']}, known {state.get('IsDeleted')}"]
    return [
        f"{spec.name} {key}.{field.name}: org {record.get(field.name)!r}, known {state.get(field.name)!r}"
        for field in spec.fields.values()
        if not same(field, record.get(field.name), state.get(field.name))
    ]


async def _in_shadow(connection: asyncpg.Connection, spec: ObjectMapping, org: dict[str, Any]) -> list[str]:
    table, key = _SHADOWS[spec.name]
    rows = {row[key]: row for row in await connection.fetch(f"SELECT * FROM {table}")}  # noqa: S608 - a name of ours
    found = []
    for record_id, row in rows.items():
        record = org.get(record_id)
        if record is None or record["IsDeleted"]:
            found.append(f"{table} shows {record_id}, which the org does not hold")
            continue
        found += [
            f"{table} {record_id}.{field.column}: org {record.get(field.name)!r}, row {row[field.column]!r}"
            for field in spec.fields.values()
            if field.column and not same(field, record.get(field.name), row[field.column])
        ]
    hidden = {
        r["record_id"] for r in await connection.fetch("SELECT record_id FROM sf_hidden WHERE object = $1", spec.name)
    }
    alive = {record_id for record_id, record in org.items() if not record["IsDeleted"]}
    return found + [f"{table} lacks {record_id}" for record_id in alive - rows.keys() - hidden]
