"""Transactions that stay open: begun by one command, written by others, committed or abandoned by a last one."""

from typing import Any

from sandbox.salesforce.commit import Caller
from sandbox.salesforce.errors import Refused, not_found
from sandbox.salesforce.oddities import operations
from sandbox.salesforce.org import Org
from sandbox.salesforce.transaction import Transaction


class LongTransactions:
    """The open ones by name."""

    def __init__(self) -> None:
        self._open: dict[str, Transaction] = {}
        self._made = 0

    def begin(self, org: Org, body: dict[str, Any]) -> dict[str, Any]:
        """{"waited_ms"?}: how long before its write an operation is stamped."""
        waited = body.get("waited_ms", 0)
        if not isinstance(waited, int):
            raise Refused("INVALID_INPUT", "waited_ms must be a whole number")
        self._made += 1
        name = f"t{self._made}"
        self._open[name] = org.begin(Caller(org.user_id, "com/salesforce/api/bulkapi/67.0"), waited_ms=waited)
        return {"transaction": name}

    def operate(self, org: Org, body: dict[str, Any]) -> dict[str, Any]:
        """{"transaction", "operations"}: a refused one undoes all of this call, and the transaction stays open."""
        tx = self._find(body)
        mark = tx.savepoint()
        try:
            return {"ids": operations.operate(tx, operations.operations_of(body))}
        except Refused:
            tx.rollback(mark)
            raise

    def commit(self, org: Org, body: dict[str, Any]) -> dict[str, Any]:
        org.commit(self._find(body))
        del self._open[str(body["transaction"])]
        return {}

    def abandon(self, org: Org, body: dict[str, Any]) -> dict[str, Any]:
        org.abandon(self._find(body))
        del self._open[str(body["transaction"])]
        return {}

    def _find(self, body: dict[str, Any]) -> Transaction:
        if (tx := self._open.get(str(body.get("transaction")))) is None:
            raise not_found(f"no open transaction {body.get('transaction')}")
        return tx
