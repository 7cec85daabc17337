"""The objects of this org: a multi-currency telecom org with Umbra's custom fields."""

from sandbox.salesforce.schema import Field, PlatformEvent, SObject

CURRENCIES = ("JPY", "USD")
ORDER_STATUSES = ("Draft", "Activating", "Activated", "Completed", "Failed", "Cancelled")
ELIGIBILITIES = ("Home 1G", "Home 10G", "Apartment 1G", "Not Eligible", "Pending")

_ID = Field("Id", "id", "Record ID", 18, createable=False, updateable=False, event="none")
_DELETED = Field("IsDeleted", "boolean", "Deleted", createable=False, updateable=False, event="none", default=False)
_STAMP = Field("SystemModstamp", "datetime", "System Modstamp", createable=False, updateable=False, event="none")
_AUDIT = (
    Field("CreatedDate", "datetime", "Created Date", createable=False, updateable=False),
    Field("CreatedById", "reference", "Created By ID", 18, refers_to="User", createable=False, updateable=False),
    Field("LastModifiedDate", "datetime", "Last Modified Date", createable=False, updateable=False),
    Field(
        "LastModifiedById", "reference", "Last Modified By ID", 18, refers_to="User", createable=False, updateable=False
    ),
)
_CURRENCY = Field("CurrencyIsoCode", "picklist", "Currency ISO Code", 3, default="JPY", picklist=CURRENCIES)
_FIXED_CURRENCY = Field(
    "CurrencyIsoCode", "picklist", "Currency ISO Code", 3, default="JPY", picklist=CURRENCIES, updateable=False
)


def _reference(name: str, to: str, *, required: bool = False, updateable: bool = True, label: str = "") -> Field:
    return Field(name, "reference", label or f"{to} ID", 18, required, refers_to=to, updateable=updateable)


def _address(prefix: str) -> tuple[Field, ...]:
    parts = (
        ("Street", "textarea"),
        ("City", "string"),
        ("State", "string"),
        ("PostalCode", "string"),
        ("Country", "string"),
    )
    return tuple(
        Field(
            prefix + part,
            "textarea" if kind == "textarea" else "string",
            f"{prefix} {part}",
            event=f"{prefix}Address",
            part=part,
        )
        for part, kind in parts
    )


def _object(
    name: str, prefix: str, standard: tuple[Field, ...], custom: tuple[Field, ...] = (), **more: object
) -> SObject:
    """Event fields keep this order: the standard ones, who and when, the custom ones."""
    fields = (_ID, _DELETED, *standard, *_AUDIT, *custom, _STAMP)
    return SObject(name, prefix, fields, **more)  # type: ignore[arg-type]


USER = _object(
    "User",
    "005",
    (Field("Username"), Field("Name"), Field("Email", "email"), Field("IsActive", "boolean", default=True)),
    label="User",
    plural="People",
    readonly=True,
)

ORGANIZATION = _object(
    "Organization",
    "00D",
    (
        Field("Name"),
        Field("OrganizationType", "picklist"),
        Field("InstanceName"),
        Field("IsSandbox", "boolean", default=True),
    ),
    label="Organization",
    plural="Organizations",
    readonly=True,
)

ACCOUNT = _object(
    "Account",
    "001",
    (
        Field("Name", label="Account Name", required=True),
        Field("Type", "picklist", "Account Type", picklist=("Residential", "Business")),
        _reference("ParentId", "Account", label="Parent Account ID"),
        *_address("Billing"),
        Field("Phone", "phone", "Account Phone", 40),
        Field("AccountNumber", label="Account Number", length=40),
        Field("Website", "url", "Website"),
        Field("Industry", "picklist", "Industry"),
        Field("Description", "textarea", "Account Description", 32000),
        _CURRENCY,
        _reference("OwnerId", "User", label="Owner ID"),
    ),
    (
        Field("Internet_Eligibility__c", "picklist", "Internet Eligibility", picklist=ELIGIBILITIES),
        Field(
            "Eligibility_Source__c",
            "picklist",
            "Eligibility Source",
            picklist=("Carrier check", "Building survey", "Shop"),
        ),
        Field("Credit_Status__c", "picklist", "Credit Status", picklist=("Clear", "Review", "Hold")),
    ),
    label="Account",
    plural="Accounts",
    topic="/data/AccountChangeEvent",
)

PRODUCT = _object(
    "Product2",
    "01t",
    (
        Field("Name", label="Product Name", required=True),
        Field("ProductCode", label="Product Code"),
        Field("Description", "textarea", "Product Description", 4000),
        Field("IsActive", "boolean", "Active", default=False),
        Field("Family", "picklist", "Product Family"),
        _CURRENCY,
        Field("StockKeepingUnit", label="Product SKU", length=180),
        Field("QuantityUnitOfMeasure", "picklist", "Quantity Unit Of Measure"),
        Field("DisplayUrl", "url", "Display URL", 1000),
        Field("ExternalId", label="External ID"),
        Field("IsArchived", "boolean", "Archived", createable=False, updateable=False, default=False),
    ),
    (
        Field("Item_Class__c", "picklist", "Item Class", picklist=("Internet", "SIM", "VPN", "Add-on", "Activation")),
        Field("Offering_Type__c", "picklist", "Offering Type"),
        Field("Plan_Tier__c", "picklist", "Plan Tier", picklist=("Silver", "Gold", "Platinum")),
        Field("VPN_Region__c", "picklist", "VPN Region"),
        Field("Name_JA__c", label="Name (Japanese)"),
    ),
    label="Product",
    plural="Products",
    topic="/data/Product2ChangeEvent",
    indexed=("StockKeepingUnit",),
)

PRICEBOOK = _object(
    "Pricebook2",
    "01s",
    (
        Field("Name", label="Price Book Name", required=True),
        Field("IsActive", "boolean", "Active", default=False),
        Field("IsArchived", "boolean", "Archived", createable=False, updateable=False, default=False),
        Field("Description", label="Description"),
        Field("IsStandard", "boolean", "Is Standard Price Book", createable=False, updateable=False, default=False),
    ),
    label="Price Book",
    plural="Price Books",
)

PRICEBOOK_ENTRY = _object(
    "PricebookEntry",
    "01u",
    (
        Field("Name", label="Product Name", derived="Product2.Name", createable=False, updateable=False, event="none"),
        _reference("Pricebook2Id", "Pricebook2", required=True, updateable=False, label="Price Book ID"),
        _reference("Product2Id", "Product2", required=True, updateable=False, label="Product ID"),
        _FIXED_CURRENCY,
        Field("UnitPrice", "currency", "List Price"),
        Field("IsActive", "boolean", "Active", default=False),
        Field("UseStandardPrice", "boolean", "Use Standard Price", default=False),
        Field(
            "ProductCode",
            label="Product Code",
            derived="Product2.ProductCode",
            createable=False,
            updateable=False,
            event="none",
        ),
        Field("IsArchived", "boolean", "Archived", createable=False, updateable=False, default=False),
    ),
    label="Price Book Entry",
    plural="Price Book Entries",
    topic="/data/PricebookEntryChangeEvent",
    undeletable=False,
    indexed=("Product2Id",),
)

ORDER = _object(
    "Order",
    "801",
    (
        _reference("OwnerId", "User", label="Order Owner ID"),
        _reference("AccountId", "Account"),
        _reference("Pricebook2Id", "Pricebook2", label="Price Book ID"),
        Field("EffectiveDate", "date", "Order Start Date", required=True),
        Field("EndDate", "date", "Order End Date"),
        Field("Status", "picklist", "Status", required=True, picklist=ORDER_STATUSES),
        Field("Description", "textarea", "Description", 32000),
        Field("Type", "picklist", "Order Type"),
        *_address("Billing"),
        Field("Name", label="Order Name", length=80),
        Field("PoNumber", label="PO Number", length=80),
        Field("OrderReferenceNumber", label="Order Reference Number", length=80),
        Field(
            "StatusCode",
            "picklist",
            "Status Category",
            createable=False,
            updateable=False,
            picklist=("Draft", "Activated"),
        ),
        _CURRENCY,
        Field("OrderNumber", label="Order Number", length=30, createable=False, updateable=False),
        Field("TotalAmount", "currency", "Order Amount", createable=False, updateable=False, default=0.0),
    ),
    (
        Field("Umbra_Idempotency_Key__c", label="Umbra Idempotency Key", unique=True),
        Field("Umbra_Request_Hash__c", label="Umbra Request Hash"),
        Field("Status_Reason__c", "picklist", "Status Reason"),
    ),
    label="Order",
    plural="Orders",
    topic="/data/OrderChangeEvent",
    indexed=("AccountId",),
)

ORDER_ITEM = _object(
    "OrderItem",
    "802",
    (
        _reference("OrderId", "Order", required=True, updateable=False),
        _reference("PricebookEntryId", "PricebookEntry", required=True, updateable=False, label="Price Book Entry ID"),
        _reference("Product2Id", "Product2", updateable=False, label="Product ID"),
        Field("OrderItemNumber", label="Order Product Number", length=30, createable=False, updateable=False),
        Field("Quantity", "double", "Quantity", required=True),
        Field("UnitPrice", "currency", "Unit Price", required=True),
        Field("ListPrice", "currency", "List Price", createable=False, updateable=False),
        Field("TotalPrice", "currency", "Total Price", createable=False, updateable=False),
        Field("ServiceDate", "date", "Start Date"),
        Field("Description", label="Line Description"),
    ),
    label="Order Product",
    plural="Order Products",
    indexed=("OrderId",),
)

ORDER_STATUS = PlatformEvent(
    "Order_Status__e",
    (
        Field("Order_Id__c", label="Order ID", length=18),
        Field("Account_Id__c", label="Account ID", length=18),
        Field("Status__c", label="Status"),
        Field("Reason__c", label="Reason"),
        Field("Occurred_At__c", "datetime", "Occurred At"),
    ),
    label="Order Status",
)

OBJECTS = {o.name: o for o in (ACCOUNT, PRODUCT, PRICEBOOK, PRICEBOOK_ENTRY, ORDER, ORDER_ITEM, USER, ORGANIZATION)}
PLATFORM_EVENTS = {e.name: e for e in (ORDER_STATUS,)}


def find(name: str) -> SObject | None:
    """An object by its API name; names are case-blind, as in the real API."""
    return OBJECTS.get(name) or next((o for o in OBJECTS.values() if o.name.lower() == name.lower()), None)
