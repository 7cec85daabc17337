"""What changes in the org is in the log, decoded, once, with its position."""

from __future__ import annotations

from schemas import topics
from schemas.events import RecordChange
from tests.integration.ingestor.harness import Ingestor, Log
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator


async def test_product_created_changed_and_deleted_is_in_the_log(log: Log, sim: Simulator, ingestor: Ingestor) -> None:
    made = sim.do("POST", "/records/Product2", {"Name": "Fibre 9", "StockKeepingUnit": "F9", "IsActive": True})
    sim.do("PATCH", f"/records/Product2/{made['Id']}", {"Name": "Fibre 9 Plus", "StockKeepingUnit": None})
    sim.do("DELETE", f"/records/Product2/{made['Id']}")

    async def three() -> list[RecordChange]:
        changes = [change for change in await log.changes("Product2") if change.record_id == made["Id"]]
        return changes if len(changes) == 3 else []

    await eventually(three)
    create, update, delete = [c for c in await log.changes("Product2") if c.record_id == made["Id"]]
    assert (create.kind, create.fields["Name"], create.fields["IsActive"]) == ("create", "Fibre 9", True)
    assert (update.kind, update.fields) == (
        "update",
        {"IsDeleted": False, "Name": "Fibre 9 Plus", "StockKeepingUnit": None},
    )
    assert (delete.kind, delete.fields) == ("delete", {"IsDeleted": True})
    assert create.version < update.version < delete.version
    (position,) = [c for c in (await log.checkpoints(topics.SALESFORCE_TOPICS[0]))[-1:]]
    assert position.replay_id == delete.replay_id
