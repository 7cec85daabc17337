"""Splits a query into words, literals and signs."""

import re
from dataclasses import dataclass

from sandbox.salesforce.errors import Refused

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^'\\]|\\.)*')
  | (?P<datetime>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d))
  | (?P<date>\d{4}-\d\d-\d\d)
  | (?P<number>[+-]?\d+(?:\.\d+)?)
  | (?P<word>[A-Za-z_][\w.]*(?::\d+)?)
  | (?P<sign><=|>=|!=|<>|[=<>(),])
)""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    at: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words


def tokens(query: str) -> list[Token]:
    """All tokens, ended by one of kind "end".  Raises Refused (MALFORMED_QUERY)."""
    found: list[Token] = []
    at = 0
    end = len(query.rstrip())
    while at < end:
        match = _TOKEN.match(query, at)
        if match is None or match.lastgroup is None:
            raise malformed(query, at, f"unexpected token: '{query[at : at + 20].strip()}'")
        found.append(Token(match.lastgroup, _text(match), match.start(match.lastgroup)))
        at = match.end()
    return [*found, Token("end", "", end)]


def _text(match: re.Match[str]) -> str:
    raw = match[match.lastgroup or 0]
    if match.lastgroup != "text":
        return raw
    return re.sub(r"\\([^%_])", lambda m: _ESCAPES.get(m[1].lower(), m[1]), raw[1:-1])


def malformed(query: str, at: int, message: str) -> Refused:
    """The refusal of a query that cannot be parsed, with the place it fails at."""
    return Refused("MALFORMED_QUERY", f"\n{query}\n{' ' * at}^\nERROR at Row:1:Column:{at + 1}\n{message}")
