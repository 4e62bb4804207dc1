"""A prepared directory against its own index: checksums, counts, records that open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordReader

from interaction.data.corpora.record import Record
from interaction.data.corpora.records import Corpus
from interaction.data.corpora.shards import Line, read_journal, sha256
from interaction.errors import InputError


def check(directory: Path, tell: Callable[[int], None] = lambda _: None) -> Line:
    """Returns the index. Raises InputError naming the first shard that is not as written.

    tell: told the bytes of each shard that is found whole.
    """
    index = Corpus.open(directory).index
    for line in list(read_journal(directory))[1:]:
        if line["shard"] is None:
            continue
        path = directory / line["shard"]
        if sha256(path) != line["sha256"]:
            raise InputError(f"{path}: its checksum is wrong; copy or prepare it again")
        reader = ArrayRecordReader(str(path))
        if reader.num_records() != len(line["turns"]):
            raise InputError(f"{path}: holds {reader.num_records()} records; prepare again")
        Record.open(reader.read([0])[0])
        reader.close()
        tell(line["bytes"])
    return index
