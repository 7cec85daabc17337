"""The fenced cache on a real Valkey: the counterexamples that shaped it, each ending in a miss."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from schemas import tags
from services.kernel import tagcache
from services.kernel.tagcache import Hit, Miss, TagCache

SKU = tags.with_families([tags.sku("NET-1G")])
LIST = tags.with_families([tags.catalog_list("Internet")])
LSN = "0/16B3748"


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
def cache(redis: Redis) -> TagCache:
    return TagCache(redis)


async def missed(cache: TagCache, key: str = "sku", under: tuple[str, ...] = SKU) -> Miss:
    found = await cache.read(key, under)
    assert isinstance(found, Miss)
    return found


async def kept(cache: TagCache, data: bytes, key: str = "sku", under: tuple[str, ...] = SKU) -> None:
    assert await cache.fill(await missed(cache, key, under), data, seconds=60, lsn=LSN)


async def test_a_filled_entry_is_found_with_the_nonces_it_was_filled_under(cache: TagCache) -> None:
    miss = await missed(cache)

    assert await cache.fill(miss, b"old", seconds=60)

    assert await cache.read("sku", SKU) == Hit(b"old", miss.nonces)


async def test_a_fill_read_before_an_invalidation_is_refused(cache: TagCache) -> None:
    miss = await missed(cache)

    await cache.invalidate([tags.sku("NET-1G")], LSN)

    assert not await cache.fill(miss, b"old", seconds=60)
    await missed(cache)


async def test_an_invalidation_voids_a_kept_entry(cache: TagCache) -> None:
    await kept(cache, b"old")

    await cache.invalidate([tags.sku("NET-1G")], LSN)

    await missed(cache)


async def test_a_fill_is_refused_when_its_tag_was_told_and_then_evicted(cache: TagCache, redis: Redis) -> None:
    miss = await missed(cache)
    await cache.invalidate([tags.sku("NET-1G")], LSN)

    await redis.delete("t:{catalog}:" + tags.sku("NET-1G"))

    assert not await cache.fill(miss, b"old", seconds=60)
    await missed(cache)
    assert not await cache.fill(miss, b"old", seconds=60)


async def test_an_evicted_tag_voids_what_was_kept_under_it(cache: TagCache, redis: Redis) -> None:
    await kept(cache, b"old")
    await cache.invalidate([tags.sku("NET-1G")], LSN)

    await redis.delete("t:{catalog}:" + tags.sku("NET-1G"))

    await missed(cache)


async def test_a_fill_across_flushall_is_refused(cache: TagCache, redis: Redis) -> None:
    miss = await missed(cache)

    await redis.flushall()

    assert not await cache.fill(miss, b"old", seconds=60)
    await missed(cache)
    assert not await cache.fill(miss, b"old", seconds=60)


async def test_a_fill_after_the_scripts_were_flushed_still_works(cache: TagCache, redis: Redis) -> None:
    await redis.script_flush()

    await kept(cache, b"value")

    assert isinstance(await cache.read("sku", SKU), Hit)


async def test_a_product_that_moves_between_classes_voids_both_lists_and_only_those(cache: TagCache) -> None:
    other, third = (tags.with_families([tags.catalog_list(name)]) for name in ("SIM", "VPN"))
    for key, under in (("a", LIST), ("b", other), ("c", third)):
        await kept(cache, b"list", key, under)

    await cache.invalidate(tags.of_product("NET-1G", "Internet") | tags.of_product("NET-1G", "SIM"), LSN)

    await missed(cache, "a", LIST)
    await missed(cache, "b", other)
    assert isinstance(await cache.read("c", third), Hit)


async def test_one_tag_voids_a_whole_family_and_no_other(cache: TagCache) -> None:
    mine = tags.with_families([tags.eligibility("001000000000001AAA")])
    await kept(cache, b"product")
    await kept(cache, b"eligible", "account", mine)

    await cache.invalidate([tags.CATALOG_ALL], LSN)

    await missed(cache)
    assert isinstance(await cache.read("account", mine), Hit)


async def test_tags_of_several_families_are_told_in_one_call(cache: TagCache) -> None:
    mine = tags.with_families([tags.order("801000000000001AAA")])
    await kept(cache, b"product")
    await kept(cache, b"order", "order", mine)

    await cache.invalidate([tags.sku("NET-1G"), tags.order("801000000000001AAA")], LSN)

    await missed(cache)
    await missed(cache, "order", mine)


async def test_only_one_reader_is_leased_until_the_lease_is_given_back(cache: TagCache) -> None:
    first, second = await missed(cache), await missed(cache)

    await cache.release(first)
    third = await missed(cache)

    assert [miss.token is not None for miss in (first, second, third)] == [True, False, True]
    assert first.nonces == second.nonces


async def test_a_stranger_cannot_give_a_lease_back(cache: TagCache) -> None:
    first, second = await missed(cache), await missed(cache)

    await cache.release(second)

    assert first.token is not None
    assert (await missed(cache)).token is None


async def test_floors_rise_and_are_unknown_until_a_primary_or_an_invalidation_says(cache: TagCache) -> None:
    assert not (await missed(cache)).known

    await cache.invalidate(SKU, "1/0")
    await cache.invalidate(SKU, "0/FFFFFFFF")
    miss = await missed(cache)

    assert (miss.known, miss.floor) == (True, "0000000100000000")


async def test_a_fill_from_the_primary_makes_an_unknown_floor_known_and_lowers_none(cache: TagCache) -> None:
    await cache.invalidate([tags.sku("NET-1G")], "0/20")

    await cache.fill(await missed(cache), b"value", seconds=0.001, lsn="0/10")
    again = await missed(cache, "another")

    assert (again.known, again.floor) == (True, tagcache.lsn_text("0/20"))


async def test_an_entry_does_not_mix_families(cache: TagCache) -> None:
    with pytest.raises(ValueError, match="one family"):
        await cache.read("plans", [tags.CATALOG_ALL, tags.ELIGIBILITY_ALL])


async def test_told_tags_are_published(cache: TagCache, redis: Redis) -> None:
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(tagcache.CHANNEL)
        await pubsub.get_message(timeout=5)

        await cache.invalidate([tags.sku("光-1G")], LSN)
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)

    assert message is not None
    assert tagcache.told(message["data"]) == [tags.sku("光-1G")]


async def test_more_tags_than_one_call_takes_are_all_told(cache: TagCache) -> None:
    await kept(cache, b"last", "last", tags.with_families([tags.sku("9999")]))

    await cache.invalidate([tags.sku(f"{number:04}") for number in range(10_000)], LSN)

    await missed(cache, "last", tags.with_families([tags.sku("9999")]))
