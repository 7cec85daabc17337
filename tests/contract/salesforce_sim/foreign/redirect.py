"""Leads the login hosts that a client has built in to the simulator.  Run by the clients' own Python."""

import requests.adapters

_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")


def to(address: str) -> None:
    """For every session of `requests` in this process."""
    send = requests.adapters.HTTPAdapter.send

    def redirected(self, request, *args, **more):  # type: ignore[no-untyped-def]
        for host in _HOSTS:
            if request.url.startswith(host):
                request.url = address + request.url.removeprefix(host)
        return send(self, request, *args, **more)

    requests.adapters.HTTPAdapter.send = redirected  # type: ignore[method-assign]
