"""What a check found, and what to change. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warn", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    check: section and name, for example `salesforce.login`
    remedy: the exact change that mends it; None where nothing is to be done
    """

    check: str
    level: Level
    detail: str
    remedy: str | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def line(self, width: int) -> str:
        head = f"{self.level:<4}  {self.check:<{width}}  {self.detail}"
        return head if self.remedy is None else f"{head}. Fix: {self.remedy}"


def ok(check: str, detail: str) -> Finding:
    return Finding(check, "ok", detail)


def warn(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check, "warn", detail, remedy)


def fail(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check, "FAIL", detail, remedy)


def failed(findings: Iterable[Finding]) -> bool:
    return any(finding.level == "FAIL" for finding in findings)
