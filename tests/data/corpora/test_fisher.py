"""Fisher: two-channel mu-law sphere files and their transcripts."""

from __future__ import annotations

import stat

import pytest

from interaction.data.corpora.prepare import Options, prepare
from interaction.errors import InputError

TRANSCRIPT = """# fe_03_00001.sph
# Transcribed at the LDC

1.00 2.00 A: [laughter] hello ((you))
2.50 4.50 B: a bcd
"""
SPANS = [[(1.0, 2.0)], [(2.5, 4.5)]]


@pytest.fixture
def tree(tmp_path, write):
    """Builds calls 00001 (whole) and 00002; returns paths of the latter's two files."""

    def make():
        for number in (1, 2):
            name = f"fe_03_{number:05}"
            sound = tmp_path / "src/fisher_eng_tr_sp_d1/audio/000" / f"{name}.sph"
            text = tmp_path / "src/fe_03_p1_tran/data/trans/000" / f"{name}.txt"
            write(sound, 6.0, SPANS, 8_000, format="NIST", subtype="ULAW")
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(TRANSCRIPT)
        return sound, text

    return make


def test_both_sides_are_agents_in_turn(tree, tmp_path, prepared, sounding):
    tree()
    corpus = prepared("fisher", tmp_path / "src")
    assert len(corpus) == 4 and corpus.index["conversations"] == 2
    a, b = corpus[0], corpus[1]
    assert a.id == "fe_03_00001/A@0" and b.id == "fe_03_00001/B@0"
    assert sounding(a.agent) == sounding(b.user) == (1.0, 2.0)
    assert sounding(a.user) == sounding(b.agent) == (2.5, 4.5)
    assert [(u.lane, u.text) for u in a.utterances] == [
        ("agent", "hello you"),
        ("user", "a bcd"),
    ]
    assert a.control == ((2.0, "break"),) and b.control == ((pytest.approx(4.6), "break"),)
    assert corpus.index["speech_s"] == {"agent": 6.0, "user": 6.0}


@pytest.mark.parametrize("agent, name", [("first", "A"), ("second", "B")])
def test_one_side_if_asked(tree, tmp_path, prepared, agent, name):
    tree()
    corpus = prepared("fisher", tmp_path / "src", agents=agent)
    assert [corpus[i].id[-3:] for i in range(len(corpus))] == [f"{name}@0"] * 2


def test_word_times_are_spread_by_letters_and_marked(tree, tmp_path, prepared):
    tree()
    corpus = prepared("fisher", tmp_path / "src")
    first, second = corpus.record(0).fields["said"]
    assert first["times"] == second["times"] == "interpolated"
    assert second["words"] == [["a", 2.5, 3.0], ["bcd", 3.0, 4.5]]


def test_an_alignment_beside_it_gives_the_times(tree, tmp_path, prepared):
    sound, text = tree()
    text.with_suffix(".ctm").write_text(
        "fe_03_00002 A 1.10 0.30 hello 0.9\nfe_03_00002 B 2.60 0.20 yes\n"
        "fe_03_00002 A 1.50 0.20 there\n"
    )
    said = prepared("fisher", tmp_path / "src").record(2).fields["said"]
    assert said[0]["words"] == [["hello", 1.1, 1.4], ["there", 1.5, 1.7]]
    assert [one["times"] for one in said] == ["given", "given"]


def test_a_shortened_file_goes_through_sph2pipe(
    tree, tmp_path, prepared, monkeypatch, write
):
    """Where the program is on PATH: here a stand-in that is asked the same way."""
    sound, _ = tree()
    unpacked = write(tmp_path / "plain.wav", 6.0, SPANS, 8_000)
    sound.write_bytes(SHORTENED)
    program = tmp_path / "bin" / "sph2pipe"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1 $2 $3 $4" = "-f wav -p {sound}" ] && cat {unpacked}\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert len(prepared("fisher", tmp_path / "src")) == 4


SHORTENED = (
    b"NIST_1A\n   1024\nsample_count -i 48000\nchannel_count -i 2\nsample_n_bytes -i 1\n"
    b"sample_rate -i 8000\nsample_coding -s26 ulaw,embedded-shorten-v2.00\nend_head\n"
).ljust(1024) + b"ajkg"


def drop(path):
    path.unlink()


def fill(content: bytes):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    "part, spoil, says",
    [
        ("text", drop, "fe_03_00002.sph: no fe_03_00002.txt"),
        ("sound", drop, "fe_03_00002.txt: no fe_03_00002.sph"),
        ("text", fill(b""), "fe_03_00002.txt: the file is empty"),
        ("sound", fill(b""), "fe_03_00002.sph: the file is empty"),
        ("sound", fill(b"noise" * 99), "fe_03_00002.sph: not a sound file"),
        ("sound", fill(SHORTENED), "fe_03_00002.sph: sphere file with shorten"),
        ("text", fill(b"# x\n\n1.0 2.0 A: caf\xe9\n"), "fe_03_00002.txt:3: is not UTF-8"),
        ("text", fill(b"1.0 A: hello\n"), "fe_03_00002.txt:1: '1.0 A: hello' is not"),
        ("text", fill(b"1.0 x A: hello\n"), "fe_03_00002.txt:1: 'x' is no time"),
        ("text", fill(b"2.0 1.0 A: hello\n"), "fe_03_00002.txt:1: ends at 1.0 s"),
        ("text", fill(b"1.0 9.0 A: hello\n"), "fe_03_00002.sph: the sound ends at 6.0 s"),
        ("text", fill(b"1.0 2.0 A: [noise]\n"), "fe_03_00002.sph: its transcript has no"),
    ],
)  # fmt: skip
def test_faults_are_named_and_the_rest_is_kept(
    tree, tmp_path, prepared, reasons, monkeypatch, part, spoil, says
):
    monkeypatch.setenv("PATH", "/nowhere")
    sound, text = tree()
    spoil({"sound": sound, "text": text}[part])
    corpus = prepared("fisher", tmp_path / "src")
    assert corpus.index["conversations"] == 1
    (found,) = reasons(corpus).items()
    assert found[0] == "fe_03_00002" and says in found[1] and "\n" not in found[1]
    with pytest.raises(InputError, match="fe_03_00002"):
        prepare(Options("fisher", tmp_path / "src"), tmp_path / "s", "test", strict=True)


@pytest.mark.parametrize("channels", [1, 3])
def test_another_number_of_channels(tree, tmp_path, prepared, write, reasons, channels):
    sound, _ = tree()
    write(sound, 6.0, [[(1, 2)]] * channels, 8_000, format="NIST", subtype="PCM_16")
    reason = reasons(prepared("fisher", tmp_path / "src"))["fe_03_00002"]
    assert reason.startswith(f"{sound}: has {channels} channels, the layout says 2")


def test_overlapping_words_are_cut_short_and_counted(tree, tmp_path, prepared):
    _, text = tree()
    text.with_suffix(".ctm").write_text("x A 1.0 0.9 one\nx A 1.2 0.3 two\nx B 3 .5 ho\n")
    corpus = prepared("fisher", tmp_path / "src")
    assert corpus.record(2).fields["said"][0]["words"] == [
        ["one", 1.0, 1.2],
        ["two", 1.2, 1.5],
    ]
    (overlaps,) = [n for what, n in corpus.index["mended"].items() if "overlap" in what]
    assert overlaps == 1


def test_nothing_usable_is_one_error(tmp_path):
    (tmp_path / "src").mkdir()
    with pytest.raises(InputError, match="holds nothing of the layout of fisher"):
        prepare(Options("fisher", tmp_path / "src"), tmp_path / "dst", "test")
    (tmp_path / "src" / "fe_03_00001.txt").write_text(TRANSCRIPT)
    with pytest.raises(InputError, match="none of 1 .* first: .*no fe_03_00001.sph"):
        prepare(Options("fisher", tmp_path / "src"), tmp_path / "dst", "test")
    assert not list((tmp_path / "dst").iterdir())
