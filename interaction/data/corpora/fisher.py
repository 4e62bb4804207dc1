"""Fisher English (LDC2004S13 and LDC2004T19, LDC2005S13 and LDC2005T19).

Anywhere below the source directory, unpacked as they come:

    fisher_eng_tr_sp_d1/audio/000/fe_03_00001.sph    two channels, 8 kHz mu-law
    fe_03_p1_tran/data/trans/000/fe_03_00001.txt     the transcript

Channel 0 is speaker A, channel 1 is B. A transcript has comments (#) and lines such as
`12.34 15.67 A: so what do you think`; the words' own times are not given, so they are
spread over the utterance by letters. Where a forced alignment lies anywhere as
`fe_03_00001.ctm` (NIST: file, channel A or B, start, duration, word), its times are used.
Marks are dropped: [laughter], {breath}, <...>, and the brackets of (( unsure )) words.

LDC packs the samples with `shorten`, which needs LDC's program `sph2pipe` on PATH; files
unpacked to .sph or .wav are read directly.

Layout: https://catalog.ldc.upenn.edu/LDC2004S13 and LDC2004T19 (their documents).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

from interaction.data.corpora.audio import is_shortened
from interaction.data.corpora.conversation import (
    Conversation,
    Item,
    Said,
    Source,
    Track,
    spread,
    utterances,
)
from interaction.data.corpora.textfile import files, read_text, seconds
from interaction.data.dialogue import Word
from interaction.errors import InputError

_NAME = re.compile(r"fe_03_\d{5}$")
_LINE = re.compile(r"(\S+)\s+(\S+)\s+([AB])\s*:(.*)$")
_MARKS = re.compile(r"\[[^\]]*\]|\{[^}]*\}|<[^>]*>|\(\(|\)\)")
# A slip in the released transcript: the utterance begins at 231.09 s (Lhotse's recipe).
_SLIPS = {("fe_03_11487", 31.09, 234.06): 231.09}


def read(src: Path) -> Source:
    """Calls in the order of their numbers."""
    paths: dict[str, dict[str, Path]] = {}
    for path in files(src, ".sph", ".wav", ".txt", ".ctm"):
        if _NAME.match(path.stem):
            kind = ".sph" if path.suffix == ".wav" else path.suffix
            paths.setdefault(path.stem, {}).setdefault(kind, path)
    names = sorted(paths)
    return Source(len(names), (Item(n, partial(_load, n, paths[n])) for n in names))


def _load(name: str, paths: dict[str, Path]) -> Conversation:
    some = next(iter(paths.values()))
    if ".sph" not in paths:
        raise InputError(f"{some}: no {name}.sph for this transcript; add the speech part")
    sound = paths[".sph"]
    if ".ctm" in paths:
        said = _aligned(paths[".ctm"])
    elif ".txt" in paths:
        said = _transcript(name, paths[".txt"])
    else:
        raise InputError(f"{sound}: no {name}.txt for this call; add the transcripts part")
    data = _unpack(sound) if is_shortened(sound) and shutil.which("sph2pipe") else None
    a, b = (Track(sound, channel, 2, data=data) for channel in (0, 1))
    return Conversation(name, (a, b), said, ("A", "B"))


def _unpack(sound: Path) -> bytes:
    command = ["sph2pipe", "-f", "wav", "-p", str(sound)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        reason = done.stderr.decode(errors="replace").strip() or "no output"
        raise InputError(f"{sound}: sph2pipe fails ({reason}); copy the file again")
    return done.stdout


def _transcript(name: str, path: Path) -> tuple[Said, ...]:
    said = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        place = f"{path}:{number}"
        match = _LINE.match(line.strip())
        if match is None:
            raise InputError(f"{place}: {line.strip()[:40]!r} is not 'START END A: words'")
        t0, t1 = seconds(match[1], place), seconds(match[2], place)
        t0 = _SLIPS.get((name, t0, t1), t0)
        if t1 < t0:
            raise InputError(f"{place}: ends at {t1} s, before it begins; mend that line")
        words = _MARKS.sub(" ", match[4]).split()
        if words:
            side = "AB".index(match[3])
            said.append(Said(side, spread(words, t0, t1), t0, t1, guessed=True))
    return tuple(said)


def _aligned(path: Path) -> tuple[Said, ...]:
    words: tuple[list[Word], list[Word]] = ([], [])
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith(";;"):
            continue
        place, fields = f"{path}:{number}", line.split()
        if len(fields) < 5 or fields[1] not in ("A", "B", "1", "2"):
            raise InputError(f"{place}: is not 'FILE A START DURATION WORD'; mend it")
        t0 = seconds(fields[2], place)
        word = Word(fields[4], t0, t0 + seconds(fields[3], place))
        words["AB12".index(fields[1]) % 2].append(word)
    return tuple(said for side in (0, 1) for said in utterances(side, words[side]))
