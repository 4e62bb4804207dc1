"""A prepared directory, read back.

    from interaction.data.corpora.records import Corpus
    corpus = Corpus.open("DIR")
    corpus[0]                      # a Dialogue; corpus.record(0).fields: all that is held

A conversation of which both sides may be the agent is two dialogues.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from array_record.python.array_record_data_source import ArrayRecordDataSource

from interaction.data.corpora.record import Record
from interaction.data.corpora.shards import INDEX, JOURNAL, SCHEMA, Line, read_journal
from interaction.data.dialogue import Dialogue
from interaction.errors import InputError
from interaction.jsonfile import read_json


@dataclass(frozen=True, eq=False)
class Corpus:
    """The dialogues by number: grain's `RandomAccessDataSource` of `Dialogue`.

    index: the contents of index.json. turns: int32 [dialogues], micro-turns of each.
    """

    index: Line
    turns: np.ndarray
    _records: ArrayRecordDataSource
    _place: np.ndarray  # int32 [dialogues, 2]: number of the record, side of the agent

    @classmethod
    def open(cls, directory: str | os.PathLike) -> Corpus:
        """Raises InputError where nothing is prepared, or not to its end."""
        directory = Path(directory)
        if not (directory / INDEX).is_file():
            begun = (directory / JOURNAL).is_file()
            raise InputError(
                f"{directory}: {'is not prepared to its end' if begun else 'no corpus'}; "
                "run python -m interaction.data prepare"
            )
        index = read_json(directory / INDEX)
        if index.get("schema") != SCHEMA:
            raise InputError(f"{directory / INDEX}: is no {SCHEMA}; prepare it again")
        paths, turns, places = [], [], []
        at = 0
        for line in list(read_journal(directory))[1:]:
            if line["shard"] is not None:
                paths.append(_part(directory, line))
            for length, agents in zip(line["turns"], line["agents"], strict=True):
                turns += [length] * len(agents)
                places += [(at, agent) for agent in agents]
                at += 1
        return cls(
            index,
            np.array(turns, np.int32),
            ArrayRecordDataSource([str(path) for path in paths]),
            np.array(places, np.int32),
        )

    def __len__(self) -> int:
        return len(self.turns)

    def __getitem__(self, number: int) -> Dialogue:
        return self.window(number)

    def record(self, number: int) -> Record:
        """The record that a dialogue comes from."""
        return Record.open(self._records[int(self._place[number, 0])])

    def window(self, number: int, start: int = 0, turns: int | None = None) -> Dialogue:
        """`turns` micro-turns of a dialogue from turn `start` on; without them, to its
        end. Only that part's sound is decoded."""
        agent = int(self._place[number, 1])
        return self.record(number).dialogue(agent, start, turns)


def _part(directory: Path, line: Line) -> Path:
    path = directory / line["shard"]
    if not path.is_file() or path.stat().st_size != line["bytes"]:
        raise InputError(f"{path}: is missing or was changed; copy the directory again")
    return path
