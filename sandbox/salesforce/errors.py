"""What the org refuses, in the words its API uses."""

from collections.abc import Sequence


class Refused(Exception):
    """A request the org turns down: an error code of the REST API, its sentence, its fields, its HTTP status."""

    def __init__(self, code: str, message: str, fields: Sequence[str] = (), status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.fields = list(fields)
        self.status = status

    def as_rest(self) -> dict[str, object]:
        """One entry of a REST error list; `fields` only for errors of a record."""
        answer: dict[str, object] = {"message": self.message, "errorCode": self.code}
        if self.fields or self.code in _RECORD_CODES:
            answer["fields"] = self.fields
        return answer

    def as_result(self) -> dict[str, object]:
        """The same error inside a save result of a collection."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields}


_RECORD_CODES = frozenset(
    {"DUPLICATE_VALUE", "REQUIRED_FIELD_MISSING", "FIELD_INTEGRITY_EXCEPTION", "ENTITY_IS_DELETED", "STRING_TOO_LONG"}
)


def not_found(message: str = "The requested resource does not exist") -> Refused:
    return Refused("NOT_FOUND", message, status=404)
