"""Record ids keep their case in their last three characters."""

from sandbox.salesforce import ids


def test_the_suffix_is_the_one_of_a_real_record() -> None:
    # From the real change event under tests/data: a record and the user who committed it.
    assert ids.suffix("a21AU000000FSC5") == "YAO"
    assert ids.suffix("0055J000001D89M") == "QAS"


def test_made_ids_are_eighteen_characters_and_grow() -> None:
    made = [ids.make("01t", n) for n in (1, 61, 62, 20_000)]

    assert all(len(i) == 18 and i.startswith("01t") and ids.extend(i) == i for i in made)
    assert made == sorted(made)


def test_fifteen_characters_are_extended_and_a_wrong_checksum_is_no_id() -> None:
    full = ids.make("001", 4711)

    assert ids.extend(full[:15]) == full
    assert ids.extend(full[:15] + "ZZZ") is None
    assert ids.extend("short") is None
