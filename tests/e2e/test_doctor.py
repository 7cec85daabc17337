"""`umbra doctor` has nothing to say against the stack that `umbra up` starts, and says what is away when it is."""

from __future__ import annotations

import json

import requests

from tests.support.umbra import Umbra


def test_a_stack_that_is_up_is_well(local_stack: Umbra) -> None:
    report = json.loads(local_stack.run("doctor", "--json").stdout)

    assert [finding for finding in report["findings"] if finding["level"] != "ok"] == []
    assert {finding["check"].partition(".")[0] for finding in report["findings"]} == {
        "salesforce",
        "kafka",
        "postgres",
        "valkey",
    }


def test_salesforce_that_is_away_fails_its_section_alone(local_stack: Umbra) -> None:
    requests.post(f"{local_stack.control}/switch", json={"salesforce": "off"}, timeout=10).raise_for_status()
    try:
        done = local_stack.run("doctor", check=False)
    finally:
        requests.post(f"{local_stack.control}/switch", json={"salesforce": "on"}, timeout=10).raise_for_status()

    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert [line.split()[1].partition(".")[0] for line in lines if line.startswith("FAIL")] == ["salesforce"]
    assert all(any(line.startswith(f"ok    {name}.") for line in lines) for name in ("kafka", "postgres", "valkey"))


def test_one_section_can_be_asked_for(local_stack: Umbra) -> None:
    report = json.loads(local_stack.run("doctor", "--json", "--only", "valkey").stdout)

    assert {finding["check"] for finding in report["findings"]} == {
        "valkey.reachable",
        "valkey.memory",
        "valkey.scripts",
    }
    assert report["api_calls"] == 0
