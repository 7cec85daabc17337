"""One call of the data API as plain data, the same for an HTTP request and for a part of a composite one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sandbox.salesforce.commit import Caller
from sandbox.salesforce.errors import Refused
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.org import Org
from sandbox.salesforce.transaction import Transaction

Transactions: TypeAlias = Callable[[], AbstractContextManager[Transaction]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Method and path below the version, with what a handler needs to answer it.

    `transaction` opens the transaction the call works in: its own, or the one of the composite request around it.
    """

    instance: Instance
    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    version: str
    headers: Mapping[str, str]
    transaction: Transactions

    @property
    def org(self) -> Org:
        return self.instance.org

    @property
    def base(self) -> str:
        return f"/services/data/v{self.version}"

    def object_body(self) -> dict[str, Any]:
        """The JSON object of the body.  Raises Refused."""
        if not isinstance(self.body, dict):
            raise Refused("JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body.")
        return self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON body; None for an answer without one."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def refusal(error: Refused) -> Reply:
    return Reply(error.status, [error.as_rest()])


def own_transaction(org: Org, caller: Caller) -> Transactions:
    return lambda: org.transaction(caller)


def shared_transaction(tx: Transaction) -> Transactions:
    """Calls inside one transaction: a failed one undoes its own writes, the rest is up to the owner."""

    @contextmanager
    def enter() -> Iterator[Transaction]:
        mark = tx.savepoint()
        try:
            yield tx
        except Refused:
            tx.rollback(mark)
            raise

    return enter
