"""A server whose ticks run late takes nobody more, says so, and goes on."""

from __future__ import annotations

import time

import pytest
from starlette.testclient import TestClient

from interaction.package import open_package
from interaction.serve import messages as m
from interaction.serve.engine import Engine, Full
from interaction.serve.limits import Limits
from interaction.serve.room import RECENT
from interaction.serve.server import app
from tests.serve.conftest import SLOTS
from tests.serve.test_room import Caller


class Slow(Engine):
    """Takes longer than a turn for every tick in which anybody is there."""

    def tick(self, given, *rest):
        time.sleep(0.25 if given else 0.0)
        return super().tick(given, *rest)


@pytest.fixture(scope="module")
def slow(eager) -> Engine:
    return Slow(open_package(eager), SLOTS)


def say(talk) -> m.ToClient:
    return m.to_client.decode(talk.receive_bytes())


def test_who_is_there_goes_on_and_nobody_more_is_admitted(slow):
    """Asked at the room, at /readyz, and by a client that comes."""
    served = app(slow, Limits())
    with TestClient(served) as client, client.websocket_connect("/v1/native") as talk:
        assert client.get("/readyz").status_code == 200
        talk.send_bytes(m.encode(m.Start()))
        assert isinstance(say(talk), m.Started)
        first = [say(talk) for _ in range(RECENT // 5)]
        assert all(isinstance(said, m.Say) for said in first)
        ready = client.get("/readyz")
        assert ready.status_code == 503 and "of 200 ms; try again later" in ready.text
        with pytest.raises(Full, match="of 200 ms"):
            served.state.house.room.admit(Caller(), 0, 0.0).result(timeout=60)
        with client.websocket_connect("/v1/native") as late:
            late.send_bytes(m.encode(m.Start()))
            assert "of 200 ms; try again later" in say(late).why
        turns = [said.turn for said in first + [say(talk) for _ in range(5)]]
        assert turns == sorted(set(turns)) and served.state.house.room.guests == 1
        talk.send_bytes(m.encode(m.Close()))
