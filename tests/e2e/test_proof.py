"""Against the running stack: the ledger covers what the stream and the backfill brought, and a record proves equal in
the org, the row and the gateways' shared cache."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from schemas import topics
from tests.e2e.running import Stack
from tests.support.eventually import eventually
from tests.support.umbra import Umbra

SKU = "INT-APT-GOLD-1G"


async def test_every_object_is_proven_since_ever_and_observed_since_its_start(local_stack: Umbra, stack: Stack) -> None:
    await stack.price(SKU, 4980)

    async def covered() -> dict[str, Any] | None:
        done = await local_stack.run_async("coverage", "--json")
        found = {each["object"]: each for each in json.loads(done.stdout)["objects"]}
        return found if found["PricebookEntry"]["observed"] else None

    objects = await eventually(covered, within=20)

    assert objects.keys() == set(topics.RECORD_TOPICS)
    for each in objects.values():
        assert [span["from"] for span in each["proven"]] == [None]
    prices = objects["PricebookEntry"]
    assert (len(prices["observed"]), prices["holes"]) == (1, [])
    assert {span["basis"] for span in prices["by"]} == {"stream", "full"}


async def test_a_record_proves_equal_with_the_answers_that_the_gateways_keep(local_stack: Umbra, stack: Stack) -> None:
    account = await stack.account("Yui Example")
    url = f"{local_stack.address}/catalog/products/{SKU}"
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        async with session.post(f"{local_stack.identity}/token", json={"accountId": account}) as answer:
            bearer = {"Authorization": f"Bearer {(await answer.json())['token']}"}

        async def proven() -> dict[str, Any] | None:
            """A price of another story may be under way, or an answer not be kept yet."""
            async with session.get(url, headers=bearer) as answer:
                product_id = (await answer.json())["productId"]
            done = await local_stack.run_async("prove", product_id, "--json", check=False)
            document: dict[str, Any] = json.loads(done.stdout)
            return document if document["equal"] and document["cachedAnswers"] else None

        document = await eventually(proven, within=45)

    assert {each["place"] for each in document["compared"]} == {"state", "row", "cache"}
    assert document["cost"]["calls"] == 1
