"""Record ids: 15 case-sensitive characters and the 3 that make them safe in case-blind tools."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_INSTANCE = "IU0"  # the part of an id that names the instance it was made on


_UPPER = str.maketrans({letter: str(int(letter.isupper())) for letter in _DIGITS})


def suffix(id15: str) -> str:
    """Three characters, each telling which letters of five are upper case, the first one in the lowest bit."""
    bits = id15.translate(_UPPER)[::-1]
    return _CHECK[int(bits[10:], 2)] + _CHECK[int(bits[5:10], 2)] + _CHECK[int(bits[:5], 2)]


def make(prefix: str, number: int) -> str:
    """The 18-character id of the `number`-th record under a 3-character prefix."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _DIGITS[rest] + digits
    id15 = f"{prefix}{_INSTANCE}{digits:0>9}"
    return id15 + suffix(id15)


def extend(value: str) -> str | None:
    """A 15- or 18-character id in its 18-character form, or None when it is no id."""
    if len(value) not in (15, 18) or not value.isascii() or not value.isalnum():
        return None
    full = value[:15] + suffix(value[:15])
    return full if len(value) == 15 or (value.upper() == full.upper() and value[15:].upper() == full[15:]) else None
