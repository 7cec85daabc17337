"""Enough of PromQL to hold an alert's expression against the metrics there are: its metrics, labels and brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<number>\d+(\.\d+)?(?![\w.]))|(?P<duration>\d+[smhdw])|(?P<string>"[^"]*")"""
    r"""|(?P<operator>=~|!~|==|!=|>=|<=|[-+*/><=,])|(?P<open>[({\[])|(?P<close>[)}\]])|(?P<name>[a-zA-Z_:]\w*)"""
)
_CLOSES = {"(": ")", "{": "}", "[": "]"}
_KEYWORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "offset", "bool", "group_left", "group_right"}
_GROUPINGS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_FUNCTIONS = {"sum", "min", "max", "avg", "count", "increase", "rate", "time", "absent", "histogram_quantile"}


class Malformed(Exception):
    """The expression is none."""


@dataclass(slots=True)
class Expression:
    """metrics: each with the labels that its matchers name; grouped: labels of all groupings"""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)


def read(text: str) -> Expression:
    """Raises Malformed."""
    tokens, reader = _tokens(text), _Reader(text)
    for (kind, token), (_, following) in zip(tokens, [*tokens[1:], ("end", "")], strict=True):
        if kind in ("open", "close"):
            reader.bracket(token)
        elif kind == "name":
            reader.name(token, following)
    if reader.nesting:
        raise Malformed(f"{reader.nesting[-1]} stays open in {text}")
    return reader.made


@dataclass(slots=True)
class _Reader:
    text: str
    made: Expression = field(default_factory=Expression)
    nesting: list[str] = field(default_factory=list)
    metric: str = ""
    grouping: bool = False

    def bracket(self, token: str) -> None:
        if token in _CLOSES:
            self.nesting.append(token)
        elif not self.nesting or _CLOSES[self.nesting.pop()] != token:
            raise Malformed(f"{token} closes nothing in {self.text}")
        else:
            self.grouping = False

    def name(self, token: str, following: str) -> None:
        if token in _KEYWORDS:
            self.grouping = token in _GROUPINGS
        elif self.grouping:
            self.made.grouped.add(token)
        elif self.nesting[-1:] == ["{"]:
            self.made.metrics[self.metric].add(token)
        elif token not in _FUNCTIONS:
            self.metric = token
            self.made.metrics.setdefault(token, set())
        elif following not in ("(", "by", "without"):
            raise Malformed(f"{token} is not called in {self.text}")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Malformed(f"no PromQL: {text[at : at + 20]}")
        at = found.end()
        if found.lastgroup != "space":
            tokens.append((str(found.lastgroup), found.group()))
    return tokens
