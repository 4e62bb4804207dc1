"""Recorded conversations of real corpora, for training.

A reader (one file a corpus) goes over a source directory and gives items; an item reads
one conversation when it is asked to. `prepare` writes them as records into shards,
`records` reads those back, `rows` cuts training rows from them.
"""
