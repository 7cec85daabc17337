"""What one call may do in its thread: one HTTP request as the logged-in user."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import urlsplit

from simple_salesforce.api import Salesforce
from simple_salesforce.util import exception_handler

from services.salesforce.errors import Unavailable
from services.salesforce.login import Token
from services.salesforce.transport import Wire


class Session:
    """Handed to the function that makes the request; good for one request."""

    def __init__(self, wire: Wire, token: Token, api_version: str) -> None:
        self._wire = wire
        self._token = token
        self._version = api_version
        # simple-salesforce always says https://; the wire knows for which hosts that is not so.
        parts = urlsplit(token.instance_url)
        wire.plain = frozenset({parts.netloc.lower()}) if parts.scheme == "http" else frozenset()

    @cached_property
    def salesforce(self) -> Any:
        """simple-salesforce on our own token; it never logs in by itself."""
        return Salesforce(
            session_id=self._token.access_token,
            instance_url=self._token.instance_url,
            version=self._version,
            session=self._wire,
            object_pairs_hook=None,
        )

    @property
    def data_path(self) -> str:
        """Path of the REST resources of our version."""
        return f"/services/data/v{self._version}"

    def download(self, path: str, params: Mapping[str, str], into: IO[bytes]) -> Mapping[str, str]:
        """GET a body into a file, unpacked, and return the headers. `path` lies below /services/data/vNN.N/."""
        self._wire.into = into
        response = self._wire.get(
            f"{self._token.instance_url}{self.data_path}/{path}",
            params=params,
            headers={"Authorization": f"Bearer {self._token.access_token}", "Accept-Encoding": "gzip"},
        )
        if response.status_code != HTTPStatus.OK:
            exception_handler(response, path)
        return response.headers

    @property
    def began_ms(self) -> int:
        """Lower bound of when the request began, by the org's clock. Unavailable: what answered is not Salesforce."""
        seen = self._wire.seen
        if seen is None or seen.began_ms is None:
            raise Unavailable("the answer has no Date")
        return seen.began_ms
