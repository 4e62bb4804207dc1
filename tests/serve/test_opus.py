"""Opus in Ogg: other people's streams and ours, aligned, however cut, and what is none."""

from __future__ import annotations

import io
import re
import struct

import av
import numpy as np
import pytest
import soundfile
import soxr
import sphn
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.errors import InputError
from interaction.package import ASSETS
from interaction.serve import ogg
from interaction.serve.opus import BYTES, OggDecoder, OggEncoder
from interaction.serve.sound import Opus, Pcm

TURN, AHEAD, OURS = 3200, 104, 16  # samples: a turn's; libopus looks ahead, our decoder


def speech(turns: int) -> np.ndarray:
    """A person's question, from where it begins."""
    wave, rate = soundfile.read(ASSETS / "nano" / "example.wav", dtype="float32")
    assert rate == 16_000
    start = int(np.argmax(np.abs(wave) > 0.05))
    return wave[start : start + turns * TURN]


def tones(turns: int) -> np.ndarray:
    """440 and 1234 Hz, swelling, so that no shift by periods is alike."""
    t = np.arange(turns * TURN) / 16_000
    wave = 0.4 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 1234 * t)
    return (wave * (0.5 + 0.5 * np.sin(2 * np.pi * 1.7 * t))).astype(np.float32)


def ours(wave: np.ndarray) -> list[bytes]:
    encoder = OggEncoder()
    return [encoder.push(wave[k : k + TURN]) for k in range(0, len(wave), TURN)]


def kyutais(wave: np.ndarray) -> list[bytes]:
    """As Moshi's clients write it: 24 kHz, a page of one packet every 80 ms."""
    writer, up = sphn.OpusStreamWriter(24_000), soxr.resample(wave, 16_000, 24_000)
    return [writer.append_pcm(up[k : k + 1920]) for k in range(0, len(up) - 1919, 1920)]


def ffmpegs(wave: np.ndarray) -> list[bytes]:
    """Two channels, packets of 5 ms and two segments: half a one ends a full page."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=48_000, layout="stereo", bit_rate=500_000)
        stream.options = {"frame_duration": "5", "vbr": "off"}
        pcm = (32767 * np.repeat(wave, 6)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="stereo")
        frame.sample_rate = 48_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return [file.getvalue()]


def decode(parts) -> np.ndarray:
    decoder = OggDecoder()
    return np.concatenate([decoder.push(part) for part in parts])


def compare(wave: np.ndarray, back: np.ndarray) -> tuple[int, float, float]:
    """-> by how many samples `back` is late, its level in dB, its correlation."""
    most = 600
    n = min(len(wave), len(back)) - 2 * most
    here = wave[most : most + n]
    shifts = [back[most + late : most + late + n] for late in range(-most, most)]
    late = int(np.argmax([float(here @ shift) for shift in shifts]))
    there = shifts[late]
    level = 20 * np.log10(np.std(there) / np.std(here))
    return late - most, level, float(np.corrcoef(here, there)[0, 1])


@pytest.mark.parametrize("sound", [speech, tones])
def test_there_and_back(sound):
    """Late by what codec and decoder look ahead; every turn at once, and whole."""
    wave, decoder = sound(15), OggDecoder()
    turns = [decoder.push(part) for part in ours(wave)]
    assert [len(turn) for turn in turns] == [TURN] * 15
    late, level, alike = compare(wave, np.concatenate(turns))
    assert abs(late - AHEAD - OURS) <= 1 and abs(level) < 0.5 and alike > 0.93


@pytest.mark.parametrize("sound", [speech, tones])
def test_others_and_ours_understand_each_other(sound):
    wave, reader = sound(15), sphn.OpusStreamReader(24_000)
    turns = [reader.append_bytes(part) for part in ours(wave)]
    assert [len(turn) for turn in turns] == [TURN * 3 // 2] * 15
    there = soxr.resample(np.concatenate(turns), 24_000, 16_000)
    for back, ahead in (there, AHEAD), (decode(kyutais(wave)), AHEAD + OURS):
        late, level, alike = compare(wave, back)
        assert abs(late - ahead) <= 1 and abs(level) < 0.5 and alike > 0.93


def test_a_player_that_heeds_the_pre_skip_is_on_the_clock():
    wave = speech(15)
    with av.open(io.BytesIO(b"".join(ours(wave)))) as file:
        frames = list(file.decode(audio=0))
    played = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert [frame.pts for frame in frames] == [max(960 * k - 312, 0) for k in range(150)]
    assert len(played) == 3 * (len(wave) - AHEAD)
    late, level, alike = compare(wave, played[::3])
    assert abs(late) <= 1 and abs(level) < 0.5 and alike > 0.93


STREAMS = {write: b"".join(write(speech(4))) for write in (ours, kyutais, ffmpegs)}
WHOLE = {write: decode([data]) for write, data in STREAMS.items()}


def test_packets_over_two_pages_and_two_channels():
    """In packets so short libopus looks 2.5 ms ahead."""
    late, level, alike = compare(speech(4), WHOLE[ffmpegs])
    assert abs(late - 40 - OURS) <= 1 and abs(level) < 0.5 and alike > 0.93


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(STREAMS)), st.lists(st.integers(0, 900), max_size=30))
def test_a_stream_is_the_same_however_it_is_cut(write, cuts):
    data, parts, at = STREAMS[write], [], 0
    for n in cuts:
        parts.append(data[at : at + n])
        at += n
    got = decode([*parts, data[at:]])
    assert got.tobytes() == WHOLE[write].tobytes()
    assert len(got) >= 4 * TURN - 1280


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(STREAMS)), st.data())
def test_what_is_damaged_is_told_and_passed_over(write, data):
    """Bytes lost, bytes too many: one line, and the next stream is whole."""
    good = STREAMS[write]
    at = data.draw(st.integers(0, len(good) - 1))
    lost = data.draw(st.integers(0, 400))
    much = data.draw(st.binary(min_size=1, max_size=60))
    decoder, said = OggDecoder(), []

    def push(part: bytes) -> np.ndarray | None:
        try:
            return decoder.push(part)
        except InputError as error:
            said.append(str(error))

    push(good[:at] + much + good[at + lost :])
    push(bytes(BYTES))  # for whatever length a damaged page claims
    left = decoder.push(b"")
    assert said and all(re.fullmatch(r"audio: [^\n]+", each) for each in said)
    assert len(left) <= len(WHOLE[write])
    assert decoder.push(good).tobytes() == WHOLE[write].tobytes()


def test_what_is_right_beside_what_is_wrong_comes_with_the_next_push():
    turns, decoder = ours(speech(4)), OggDecoder()
    with pytest.raises(InputError, match="3 bytes that are no Ogg page"):
        decoder.push(turns[0] + b"..." + turns[1])
    with pytest.raises(InputError, match="an empty packet"):
        decoder.push(ogg.page([b""], 9) + turns[2])
    assert decoder.push(turns[3]).tobytes() == WHOLE[ours].tobytes()


def test_too_much_is_refused_and_nothing_piles_up():
    decoder = OggDecoder()
    with pytest.raises(InputError, match="65537 bytes at once; 65536 at most"):
        decoder.push(bytes(BYTES + 1))
    head, *_ = ours(speech(1))
    decoder.push(head)
    bomb = ogg.page([b"\x83\x30"] * 200, 3)  # 24 s of nothing in 629 bytes
    with pytest.raises(InputError, match="more than a second at once"):
        decoder.push(bomb * 50)
    assert len(decoder.push(b"")) <= 16_000 + 1920
    part = struct.pack("<4sBBqIIIB", b"OggS", 0, 0, 0, ogg.SERIAL, 5, 0, 255)
    part += b"\xff" * 255 + bytes(255 * 255)  # a packet that does not end here
    part = part[:22] + struct.pack("<I", ogg.checksum(part)) + part[26:]
    with pytest.raises(InputError, match="a packet of more than 61440 bytes"):
        decoder.push(part)
    for _ in range(20):
        with pytest.raises(InputError, match="damaged Ogg page"):
            decoder.push(b"OggS" + bytes([255]) * 60_000)
            decoder.push(bytes(BYTES))
        assert len(decoder._pages._data) < 65_307


def test_another_codec_is_named():
    file = io.BytesIO()
    soundfile.write(file, speech(2), 16_000, format="OGG", subtype="VORBIS")
    with pytest.raises(InputError, match="begins without OpusHead; send Opus"):
        decode([file.getvalue()])
    with pytest.raises(InputError, match="no beginning; send an Ogg stream from its first"):
        decode(ours(speech(2))[1:])


def test_turns_of_bare_packets():
    """As the native protocol carries them: a turn for a turn, and what is none is told."""
    wave, there, here = speech(15), Opus(), Opus()
    turns = [there.pack(wave[k : k + TURN]) for k in range(0, len(wave), TURN)]
    assert {len(turn) for turn in turns} == {10}
    assert sum(map(len, sum(turns, []))) < 3 * 4_100  # bytes of 3 s, at 32 kbit/s
    for none, says in (
        ([b"\xff\xff", *turns[1][1:]], "no Opus packet"),
        (turns[1][:9], "180 ms; send ten packets of 20 ms"),
        (bytes(6_400), "PCM in a talk of Opus"),
    ):
        with pytest.raises(InputError, match=f"^audio: .*{says}"):
            here.unpack(none)
    with pytest.raises(InputError, match="^audio: packets; ask for them"):
        Pcm().unpack(turns[0])
    back = [here.unpack(turn) for turn in turns]
    assert {turn.shape for turn in back} == {(TURN,)}
    late, level, alike = compare(wave, np.concatenate(back))
    assert abs(late - AHEAD - OURS) <= 1 and abs(level) < 0.5 and alike > 0.93
