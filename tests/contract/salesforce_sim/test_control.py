"""The control endpoint does to Salesforce what a person or a test asks."""

import pytest
import requests

from tests.contract.salesforce_sim.simulator import Simulator


def test_a_renamed_demo_account_is_still_one(sim: Simulator) -> None:
    accounts = sim.do("GET", "/demo/accounts")["accounts"]
    last = accounts[-1]["account_id"]
    sim.do("PATCH", f"/records/Account/{last}", {"Name": "Sample Other Name"})

    again = sim.do("GET", "/demo/accounts")["accounts"]
    assert [a["account_id"] for a in again] == [a["account_id"] for a in accounts]
    assert again[-1]["name"] == "Sample Other Name"
    assert len(again) == 12


def test_a_record_is_made_changed_deleted_and_brought_back(sim: Simulator) -> None:
    made = sim.do("POST", "/records/Account", {"Name": "Sample Circle"})
    path = f"/records/Account/{made['Id']}"
    changed = sim.do("PATCH", path, {"Credit_Status__c": "Hold"})
    deleted = sim.do("DELETE", path)
    back = sim.do("POST", path + "/undelete")

    assert (changed["Credit_Status__c"], deleted["IsDeleted"], back["IsDeleted"]) == ("Hold", True, False)
    shown = sim.do("GET", "/records/Account")["records"]
    assert sim.do("GET", path) in shown
    assert {"Id", "IsDeleted", "SystemModstamp", "Internet_Eligibility__c"} <= shown[0].keys()


def test_a_price_is_edited_by_sku_currency_and_book(sim: Simulator) -> None:
    body = {"sku": "VPN-SINGAPORE", "currency": "USD", "price": 19.99}
    portal = sim.do("POST", "/price", body)
    standard = sim.do("POST", "/price", body | {"pricebook": "Standard Price Book", "price": 21.5})

    assert (portal["UnitPrice"], standard["UnitPrice"]) == (19.99, 21.5)
    assert portal["Pricebook2Id"] != standard["Pricebook2Id"]
    assert portal["Name"] == standard["Name"] == "VPN Router Singapore"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/price", {"sku": "NOPE", "currency": "JPY", "price": 1}, 404),
        ("/price", {"sku": "VPN-UK", "currency": "JPY", "price": "much"}, 400),
        ("/switch", {"salesforce": "maybe"}, 400),
        ("/records/Nothing", {}, 404),
        ("/records/Account", {"Nope": 1}, 400),
        ("/transaction", {"operations": [{"op": "explode", "object": "Account"}]}, 400),
    ],
)
def test_what_makes_no_sense_is_refused(sim: Simulator, path: str, body: dict[str, object], status: int) -> None:
    assert requests.post(sim.control + path, json=body, timeout=10).status_code == status


def test_the_page_is_served(sim: Simulator) -> None:
    answer = requests.get(sim.control + "/", timeout=10)

    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Salesforce sandbox" in answer.text


def test_changes_made_while_salesforce_is_off_are_there_when_it_is_back(sim: Simulator) -> None:
    sim.do("POST", "/switch", {"salesforce": "off"})
    try:
        row = sim.price("VPN-JAPAN", 2999)
        assert sim.do("GET", "/state")["off"] is True
    finally:
        sim.do("POST", "/switch", {"salesforce": "on"})

    assert sim.call("GET", f"/sobjects/PricebookEntry/{row['Id']}").json()["UnitPrice"] == 2999
