"""Recursive descent over the tokens of one SELECT."""

from sandbox.salesforce.soql.lexer import Token, malformed, tokens
from sandbox.salesforce.soql.tree import (
    Aggregate,
    All,
    AnyOf,
    Comparison,
    Condition,
    Literal,
    Not,
    Path,
    Query,
    Sort,
)

MAX_LENGTH = 100_000  # characters
MAX_OFFSET = 2_000
_FUNCTIONS = ("COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG")
_CLAUSES = (
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "AND",
    "OR",
    "NOT",
    "USING",
    "WITH",
    "HAVING",
    "FOR",
    "ALL",
)
_SIGNS = ("=", "!=", "<>", "<", "<=", ">", ">=")


def parse(query: str) -> Query:
    """The query as a tree.  Raises Refused (MALFORMED_QUERY)."""
    if len(query) > MAX_LENGTH:
        raise malformed(query[:80], 0, "SOQL statements cannot be longer than 100000 characters.")
    return _Parser(query).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0

    def query(self) -> Query:
        self._expect_word("SELECT")
        select = self._select()
        self._expect_word("FROM")
        source = self._name()
        if self._peek().kind == "word" and not self._peek().is_word(*_CLAUSES):
            self._next()  # an alias of the object: FROM Account a; paths may not use it
        where = self._condition() if self._take_word("WHERE") else None
        group = self._group() if self._take_word("GROUP") else ()
        order = self._order() if self._take_word("ORDER") else ()
        limit = self._integer() if self._take_word("LIMIT") else None
        offset = self._integer() if self._take_word("OFFSET") else 0
        if offset > MAX_OFFSET:
            raise self._error("maximum SOQL offset allowed is 2000")
        if self._peek().kind != "end":
            raise self._error(f"unexpected token: '{self._peek().text}'")
        return Query(select, source, where, group, order, limit, offset)

    def _select(self) -> tuple[Path | Aggregate, ...]:
        items = [self._item(0)]
        while self._take_sign(","):
            items.append(self._item(len(items)))
        return tuple(items)

    def _item(self, index: int) -> Path | Aggregate:
        name = self._name()
        if self._peek().text != "(":
            return tuple(name.split("."))
        if name.upper() not in _FUNCTIONS:
            raise self._error(f"unknown function: {name}")
        self._expect_sign("(")
        path: Path = () if self._peek().text == ")" else tuple(self._name().split("."))
        self._expect_sign(")")
        alias = f"expr{index}"
        if self._peek().kind == "word" and not self._peek().is_word(*_CLAUSES):
            alias = self._name()
        return Aggregate(name.upper(), path, alias)

    def _condition(self) -> Condition:
        first = self._term()
        parts = [first]
        if self._peek().is_word("AND", "OR"):
            word = self._peek().text.upper()
            while self._take_word(word):
                parts.append(self._term())
            if self._peek().is_word("AND", "OR"):
                raise self._error(f"unexpected token: '{self._peek().text}'")
            return All(tuple(parts)) if word == "AND" else AnyOf(tuple(parts))
        return first

    def _term(self) -> Condition:
        if self._take_word("NOT"):
            return Not(self._term())
        if self._take_sign("("):
            inner = self._condition()
            self._expect_sign(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        path = tuple(self._name().split("."))
        if self._take_word("LIKE"):
            return Comparison(path, "LIKE", (self._literal(),))
        negated = self._take_word("NOT")
        if self._take_word("IN"):
            return Comparison(path, "NOT IN" if negated else "IN", self._list())
        token = self._next()
        if negated or token.text not in _SIGNS:
            raise self._error(f"unexpected token: '{token.text}'", token)
        return Comparison(path, "!=" if token.text == "<>" else token.text, (self._literal(),))

    def _list(self) -> tuple[Literal, ...]:
        self._expect_sign("(")
        values = [self._literal()]
        while self._take_sign(","):
            values.append(self._literal())
        self._expect_sign(")")
        return tuple(values)

    def _literal(self) -> Literal:
        token = self._next()
        if token.kind in ("text", "number", "datetime", "date"):
            return Literal(token.kind, token.text)
        if token.kind == "word":
            upper = token.text.upper()
            kind = {"TRUE": "boolean", "FALSE": "boolean", "NULL": "null"}.get(upper, "range")
            return Literal(kind, upper)
        raise self._error(f"unexpected token: '{token.text}'", token)

    def _group(self) -> tuple[Path, ...]:
        self._expect_word("BY")
        paths = [tuple(self._name().split("."))]
        while self._take_sign(","):
            paths.append(tuple(self._name().split(".")))
        return tuple(paths)

    def _order(self) -> tuple[Sort, ...]:
        self._expect_word("BY")
        sorts = [self._sort()]
        while self._take_sign(","):
            sorts.append(self._sort())
        return tuple(sorts)

    def _sort(self) -> Sort:
        path = tuple(self._name().split("."))
        descending = self._take_word("DESC")
        if not descending:
            self._take_word("ASC")
        nulls_last = descending
        if self._take_word("NULLS"):
            nulls_last = self._take_word("LAST")
            if not nulls_last:
                self._expect_word("FIRST")
        return Sort(path, descending, nulls_last)

    def _integer(self) -> int:
        token = self._next()
        if token.kind != "number" or not token.text.isdigit():
            raise self._error(f"unexpected token: '{token.text}'", token)
        return int(token.text)

    def _name(self) -> str:
        token = self._next()
        if token.kind != "word":
            raise self._error(f"unexpected token: '{token.text or '<EOF>'}'", token)
        return token.text

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _take_word(self, word: str) -> bool:
        found = self._peek().is_word(word)
        self._at += found
        return found

    def _take_sign(self, sign: str) -> bool:
        found = self._peek().kind == "sign" and self._peek().text == sign
        self._at += found
        return found

    def _expect_word(self, word: str) -> None:
        if not self._take_word(word):
            raise self._error(f"expecting {word}, found '{self._peek().text or '<EOF>'}'")

    def _expect_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise self._error(f"expecting '{sign}', found '{self._peek().text or '<EOF>'}'")

    def _error(self, message: str, token: Token | None = None) -> Exception:
        return malformed(self._text, (token or self._peek()).at, message)
