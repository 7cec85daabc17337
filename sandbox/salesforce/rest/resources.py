"""Which function answers which path of the data API."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from sandbox.salesforce.errors import Refused, not_found
from sandbox.salesforce.rest import collections, composite, describe, query, records, replication, tooling
from sandbox.salesforce.rest.call import Call, Reply, refusal

_Handler = Callable[..., Reply]


class Resources:
    """The resources of one org.  `dispatch` answers a call; a refusal is an answer too."""

    def __init__(self) -> None:
        cursors = query.Cursors()
        self._routes: list[tuple[str, str, re.Pattern[str], _Handler]] = [
            (method, template, _pattern(template), handler)
            for method, template, handler in (
                ("GET", "/", describe.resources),
                ("GET", "/limits", describe.limits),
                ("GET", "/query", lambda call: query.query(call, cursors, with_deleted=False)),
                ("GET", "/queryAll", lambda call: query.query(call, cursors, with_deleted=True)),
                ("GET", "/query/{locator}", lambda call, locator: query.more(call, cursors, locator)),
                ("GET", "/queryAll/{locator}", lambda call, locator: query.more(call, cursors, locator)),
                ("GET", "/tooling/query", tooling.query),
                ("POST", "/composite", lambda call: composite.composite(call, self.dispatch)),
                ("POST", "/composite/sobjects", collections.create_many),
                ("PATCH", "/composite/sobjects", collections.update_many),
                ("DELETE", "/composite/sobjects", collections.delete_many),
                ("GET", "/composite/sobjects/{object}", collections.retrieve_many),
                ("POST", "/composite/sobjects/{object}", collections.retrieve_many),
                ("PATCH", "/composite/sobjects/{object}/{field}", collections.upsert_many),
                ("GET", "/sobjects", describe.list_objects),
                ("GET", "/sobjects/{object}", describe.basic),
                ("POST", "/sobjects/{object}", records.create),
                ("GET", "/sobjects/{object}/describe", describe.describe),
                ("GET", "/sobjects/{object}/updated", replication.updated),
                ("GET", "/sobjects/{object}/deleted", replication.deleted),
                ("GET", "/sobjects/{object}/{id}", records.retrieve),
                ("PATCH", "/sobjects/{object}/{id}", records.update),
                ("DELETE", "/sobjects/{object}/{id}", records.delete),
                ("GET", "/sobjects/{object}/{field}/{value}", records.retrieve_by),
                ("PATCH", "/sobjects/{object}/{field}/{value}", records.upsert_by),
                ("DELETE", "/sobjects/{object}/{field}/{value}", records.delete_by),
            )
        ]

    def find(self, method: str, path: str) -> tuple[str, _Handler, tuple[str, ...]]:
        """Route name, handler and path values.  Raises Refused (404, 405)."""
        path = path.rstrip("/") or "/"
        known = False
        for its_method, template, pattern, handler in self._routes:
            if (match := pattern.fullmatch(path)) is not None:
                if its_method == method:
                    return f"{method} {template}", handler, tuple(map(unquote, match.groups()))
                known = True
        if known:
            raise Refused("METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed.", status=405)
        raise not_found()

    def dispatch(self, call: Call) -> Reply:
        try:
            _, handler, values = self.find(call.method, call.path)
            return handler(call, *values)
        except Refused as error:
            return refusal(error)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "([^/]+)", template))
