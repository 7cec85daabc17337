"""Field bitmaps of a change event header: upper-case hex of whole bytes, shortest form, bit i is field i.

Source: the event deserialization guide, and every sample seen in real traffic.
"""

from collections.abc import Iterable


def encode(indexes: Iterable[int]) -> str:
    """`0x` and the bitmap of these field indexes."""
    bits = 0
    for index in indexes:
        bits |= 1 << index
    length = max(1, (bits.bit_length() + 7) // 8)
    return f"0x{bits:0{2 * length}X}"


def encode_paths(paths: Iterable[tuple[int, int | None]]) -> list[str]:
    """The elements of changedFields: whole fields first, then one `P-0x..` element per compound parent.

    A path is (field index, None), or (index of the compound field, index of its part).
    """
    whole: list[int] = []
    parts: dict[int, list[int]] = {}
    for index, part in paths:
        if part is None:
            whole.append(index)
        else:
            parts.setdefault(index, []).append(part)
    elements = [encode(whole)] if whole else []
    return elements + [f"{parent}-{encode(children)}" for parent, children in sorted(parts.items())]
