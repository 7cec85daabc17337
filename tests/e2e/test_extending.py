"""docs/extending.md, tried: a fourth mapped field of Account, without touching code."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from schemas import mapping
from tests.support import umbra
from tests.support.eventually import eventually

FIELD = 'Type = { type = "text", answer = "accountType" }\n'
HEADING = "[objects.Account.fields]\n"


def with_one_more_field(path: Path) -> Path:
    text = mapping.DEFAULT_FILE.read_text(encoding="utf-8")
    assert HEADING in text
    path.write_text(text.replace(HEADING, HEADING + FIELD), encoding="utf-8")
    return path


async def answered_extra(running: umbra.Umbra, session: aiohttp.ClientSession, account_id: str) -> dict[str, object]:
    async with session.post(f"{running.identity}/token", json={"accountId": account_id}) as answer:
        token = (await answer.json())["token"]
    url = f"{running.address}/accounts/{account_id}/eligibility"
    async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 200
        extra: dict[str, object] = (await answer.json())["extra"]
        return extra


async def test_a_newly_mapped_field_reaches_the_answer_by_backfill_and_by_events(tmp_path: Path) -> None:
    file = with_one_more_field(tmp_path / "mapping.toml")
    with umbra.running(tmp_path / "s", settings={"UMBRA_MAPPING_FILE": str(file)}) as running:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{running.control}/records/Account") as answer:
                account = next(r for r in (await answer.json())["records"] if r["Type"] and not r["IsDeleted"])

            assert (await answered_extra(running, session, account["Id"]))["accountType"] == account["Type"]

            other = "Business" if account["Type"] != "Business" else "Residential"
            url = f"{running.control}/records/Account/{account['Id']}"
            async with session.patch(url, json={"Type": other}) as answer:
                assert answer.status < 300

            async def changed() -> bool:
                return (await answered_extra(running, session, account["Id"]))["accountType"] == other

            await eventually(changed, within=10)
