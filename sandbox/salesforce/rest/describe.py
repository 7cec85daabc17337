"""What the org says about itself: versions, resources, objects, fields, limits."""

from typing import Any

from sandbox.salesforce.instance import API_VERSION, OLDEST_VERSION, Instance
from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.rest import records
from sandbox.salesforce.rest.call import Call, Reply
from sandbox.salesforce.schema import TEXT_TYPES, Field, SObject

_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "currency": "xsd:double",
    "double": "xsd:double",
    "int": "xsd:int",
    "datetime": "xsd:dateTime",
    "date": "xsd:date",
}


def versions() -> list[dict[str, str]]:
    found = range(OLDEST_VERSION, int(float(API_VERSION)) + 1)
    return [{"label": f"Release {v}", "url": f"/services/data/v{v}.0", "version": f"{v}.0"} for v in found]


def resources(call: Call) -> Reply:
    names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs")
    return Reply(200, {name: f"{call.base}/{name}" for name in names})


def list_objects(call: Call) -> Reply:
    shown = [_summary(obj, call.base) for obj in OBJECTS.values()]
    return Reply(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown})


def basic(call: Call, object_name: str) -> Reply:
    return Reply(200, {"objectDescribe": _summary(records.find_object(object_name), call.base), "recentItems": []})


def describe(call: Call, object_name: str) -> Reply:
    obj = records.find_object(object_name)
    body = _summary(obj, call.base) | {
        "fields": [_field(f) for f in obj.fields],
        "childRelationships": _children(obj),
        "recordTypeInfos": [],
        "supportedScopes": [{"label": "All", "name": "everything"}],
    }
    return Reply(200, body)


def limits(call: Call) -> Reply:
    return Reply(200, limit_table(call.instance))


def limit_table(instance: Instance) -> dict[str, dict[str, int]]:
    """Each allowance of the org and what is left of it."""
    usage, most = instance.usage, instance.usage.allowances
    used = {
        "DailyApiRequests": (most.daily_api_calls, usage.api_calls.total()),
        "DailyBulkV2QueryJobs": (most.daily_query_jobs, usage.query_jobs.total()),
        "DailyDeliveredPlatformEvents": (most.daily_delivered_events, usage.delivered_events.total()),
        "HourlyPublishedPlatformEvents": (most.hourly_published_events, usage.published_events.total()),
        "DailyBulkV2QueryFileStorageMB": (most.daily_result_mb, usage.result_bytes.total() >> 20),
        "DailyBulkApiBatches": (15_000, 0),
        "DailyAsyncApexExecutions": (250_000, 0),
        "DataStorageMB": (10_240, 0),
        "FileStorageMB": (10_240, 0),
        "DailyStreamingApiEvents": (200_000, 0),
        "MonthlyPlatformEventsUsageEntitlement": (1_500_000, 0),
    }
    return {name: {"Max": top, "Remaining": max(0, top - spent)} for name, (top, spent) in used.items()}


def _summary(obj: SObject, base: str) -> dict[str, Any]:
    url = f"{base}/sobjects/{obj.name}"
    return {
        "name": obj.name,
        "label": obj.label,
        "labelPlural": obj.plural,
        "keyPrefix": obj.prefix,
        "custom": False,
        "createable": not obj.readonly,
        "updateable": not obj.readonly,
        "deletable": not obj.readonly,
        "undeletable": obj.undeletable and not obj.readonly,
        "queryable": True,
        "retrieveable": True,
        "replicateable": True,
        "searchable": True,
        "layoutable": True,
        "triggerable": True,
        "mergeable": False,
        "feedEnabled": False,
        "deprecatedAndHidden": False,
        "activateable": False,
        "customSetting": False,
        "hasSubtypes": False,
        "isSubtype": False,
        "isInterface": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
    }


def _field(f: Field) -> dict[str, Any]:
    number = f.type in ("currency", "double")
    return {
        "name": f.name,
        "label": f.label or f.name,
        "type": f.type,
        "soapType": _SOAP.get(f.type, "xsd:string"),
        "length": f.length if f.type in TEXT_TYPES else 0,
        "byteLength": f.length * 3 if f.type in TEXT_TYPES else 0,
        "precision": 18 if number else 0,
        "scale": 2 if number else 0,
        "digits": 9 if f.type == "int" else 0,
        "nillable": not f.required and f.default is None and f.type != "id",
        "createable": f.createable,
        "updateable": f.updateable,
        "defaultedOnCreate": f.default is not None,
        "custom": f.custom,
        "unique": f.unique,
        "externalId": f.unique,
        "caseSensitive": f.unique,
        "idLookup": f.unique or f.name == "Id",
        "nameField": f.name == "Name",
        "calculated": bool(f.derived),
        "autoNumber": f.name in ("OrderNumber", "OrderItemNumber"),
        "filterable": True,
        "sortable": True,
        "groupable": not number,
        "aggregatable": True,
        "permissionable": f.custom,
        "restrictedPicklist": False,
        "encrypted": False,
        "htmlFormatted": False,
        "deprecatedAndHidden": False,
        "dependentPicklist": False,
        "compoundFieldName": f.event if f.part else None,
        "defaultValue": f.default if f.type == "boolean" else None,
        "referenceTo": [f.refers_to] if f.refers_to else [],
        "relationshipName": f.relationship or None,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": value, "value": value, "validFor": None}
            for value in f.picklist
        ],
    }


def _children(obj: SObject) -> list[dict[str, Any]]:
    return [
        {
            "childSObject": child.name,
            "field": f.name,
            "relationshipName": None,
            "cascadeDelete": False,
            "restrictedDelete": False,
            "deprecatedAndHidden": False,
        }
        for child in OBJECTS.values()
        for f in child.fields
        if f.refers_to == obj.name
    ]
