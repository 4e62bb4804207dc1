"""Conversations on disk: killed, forked, stopped and broken off, they go on to the bit."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import numpy as np
import pytest

from interaction import snapshot
from interaction.serve.archive import TOKEN
from interaction.serve.client import Client, Refused
from interaction.serve.shelf import Shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="module")
def start(serve, shelf, records):
    return lambda: serve(f"--snapshots={shelf}", f"--record={records}", "--grace=2")


@pytest.fixture(scope="module")
def killed(start, person, records):
    """Three talk at once, one asks for a snapshot somewhere, and later the server is
    killed. -> they, and the snapshot."""
    server = start()

    async def talk():
        speaks = [person(server, seed, consent=seed == 1) for seed in range(3)]
        for each in speaks:
            await each.__aenter__()

        async def ask():
            await speaks[0].converse(int(np.random.default_rng(6).integers(5, 25)))
            await speaks[0].client.snapshot()
            await speaks[0].converse(25)

        await asyncio.gather(ask(), *[each.converse(35) for each in speaks[1:]])
        assert [path.suffix for path in records.iterdir()] == [".partial"]
        server.process.kill()
        server.process.wait()
        return speaks

    speaks = asyncio.run(talk())
    (kept,) = speaks[0].client.kept
    return speaks, kept


@pytest.fixture(scope="module")
def after(killed, start):
    """A server on what the killed one left."""
    return start()


async def refused(server, token: str, **options) -> str:
    with pytest.raises(Refused) as error:
        async with Client(
            f"ws://127.0.0.1:{server.port}", server.key, resume=token, **options
        ):
            pass
    return str(error.value)


def test_among_others_over_sockets_as_alone(killed, alone):
    for each in killed[0]:
        assert len(each.bits) >= 30
        assert each.bits == alone(each)


def test_a_killed_servers_conversation_goes_on_and_forks(killed, after, person, alone):
    """Once, and in two forks: all as it would have gone on, and did."""
    (first, *_), kept = killed

    async def go_on():
        forks = [
            person(after, 0, first, resume=kept.token, fork=fork)
            for fork in (True, True, False)
        ]
        for each in forks:
            await each.__aenter__()
            assert each.begins == kept.turn + 1
        assert len({each.client.token for each in forks}) == 3
        await asyncio.gather(*[each.converse(15) for each in forks])
        for each in forks:
            await each.__aexit__()
        assert "no conversation waits" in await refused(after, kept.token)
        return forks

    forks = asyncio.run(go_on())
    there = {said.turn: bits for said, bits in zip(first.said, first.bits, strict=True)}
    for each in forks:
        assert each.bits == alone(each)
        if each.heard == first.heard[: len(each.heard)]:
            assert each.bits == [there[said.turn] for said in each.said]


def test_nothing_half_recorded_is_left_by_a_killed_server(after, records):
    assert not any(records.iterdir())


def test_a_broken_connection_is_on_disk_until_it_is_taken_up(after, person, alone, shelf):
    """From its slot within the time of grace, from its file after it; never from both."""

    async def break_twice():
        talk = person(after, 5)
        await talk.__aenter__()
        await talk.converse(12)
        for wait in (False, True):
            token = talk.client.token
            talk.client._socket.transport.abort()
            while not any(shelf.iterdir()):
                await asyncio.sleep(0.05)
            while wait and after.figure("interaction_sessions_held"):
                await asyncio.sleep(0.1)
            again = person(after, 5, talk, resume=token)
            await again.__aenter__()
            assert again.client.token == token
            assert not any(shelf.iterdir())
            await again.converse(12)
            assert again.bits == alone(again)
            talk = again
        await talk.__aexit__()

    asyncio.run(break_twice())


def test_what_cannot_be_resumed_is_refused_in_one_line(after, person, shelf, tiny):
    """And stays: a file that is mended serves. A full server keeps it too."""

    async def spoil():
        async with person(after, 0) as talk:
            await talk.client.snapshot()
            await talk.client.snapshot()
            await talk.converse(8)
            assert "one in 1 s" in talk.client.errors[0]
            token = talk.client.kept[0].token
        (path,) = shelf.iterdir()
        assert path.stat().st_mode & 0o077 == 0
        whole, taken = path.read_bytes(), snapshot.load(path, tiny)
        snapshot.save(path, taken._replace(model="of another"))
        assert "another model" in await refused(after, token)
        path.write_bytes(whole[: len(whole) // 2])
        assert "the snapshot: " in await refused(after, token, fork=True)
        at = len(whole) * 3 // 4
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert "is damaged" in await refused(after, token)
        path.write_bytes(whole)
        crowd = [person(after, seed) for seed in range(after.slots)]
        for each in crowd:
            await each.__aenter__()
        assert "slots are taken" in await refused(after, token)
        for each in crowd:
            await each.__aexit__()
        long_ago = time.time() - 100_000
        os.utime(path, (long_ago, long_ago))
        assert "has expired" in await refused(after, token)
        assert "no conversation waits" in await refused(after, token)

    asyncio.run(spoil())
    assert not any(shelf.iterdir())


def discard(server, token: str | None, key: str | None = None) -> int:
    headers = {"Authorization": f"Bearer {key or server.key}"}
    headers |= {} if token is None else {TOKEN: token}
    return server.get("/v1/snapshots", "DELETE", **headers)[0]


def test_a_snapshot_is_deleted_by_its_token(after, person, shelf):
    """The conversation goes on; of one that waits for its client nothing stays."""

    others = set(shelf.iterdir())

    async def keep():
        async with person(after, 0) as talk:
            await talk.client.snapshot()
            await talk.converse(8)
            (kept,) = talk.client.kept
            (path,) = set(shelf.iterdir()) - others
            assert discard(after, kept.token, "no key") == 403
            assert discard(after, None) == 400 and discard(after, "another") == 204
            assert path.exists()
            assert discard(after, kept.token) == discard(after, kept.token) == 204
            assert set(shelf.iterdir()) == others
            assert "no conversation waits" in await refused(after, kept.token, fork=True)
            await talk.converse(3)
        gone = await person(after, 1).__aenter__()
        await gone.converse(2)
        gone.client._socket.transport.abort()
        while set(shelf.iterdir()) == others:
            await asyncio.sleep(0.05)
        assert discard(after, gone.client.token) == 204
        assert set(shelf.iterdir()) == others
        assert after.figure("interaction_sessions_held") == 0
        assert "no conversation waits" in await refused(after, gone.client.token)

    asyncio.run(keep())


def test_a_server_that_stops_puts_away_who_still_talks(after, person, alone, shelf):
    """At a second signal: who is there and who is held. Both go on elsewhere."""

    async def stop():
        here, gone = person(after, 7), person(after, 8)
        for each in (here, gone):
            await each.__aenter__()
        await asyncio.gather(here.converse(12), gone.converse(12))
        gone.client._socket.transport.abort()
        while not after.figure("interaction_sessions_held"):
            await asyncio.sleep(0.05)
        for _ in range(2):
            after.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
        with pytest.raises(AssertionError, match="`resume` goes on"):
            await here.converse(100)
        return here, gone

    talks = asyncio.run(stop())
    after.process.wait(timeout=30)
    files = Shelf(shelf, alone.engine.cfg, 60.0)
    for each in talks:
        taken = files.take(each.client.token)
        heard, on = each.until(taken.turns), list(range(100, 112))
        assert taken.talk["turn"] == len(heard)
        now = alone.replies(alone.engine.resume(taken), each.seed, on)
        fresh = alone.engine.admit(each.seed, temperature=1.0)
        assert alone.replies(fresh, each.seed, heard + on)[-12:] == now
