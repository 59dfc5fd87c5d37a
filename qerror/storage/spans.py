"""Spans of bytes that tensors claim."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Bytes from `first` up to `last`, and the tensor that they belong to."""

    first: int
    last: int
    tensor: str


def overlaps(spans: Sequence[Span]) -> Iterator[tuple[str, str]]:
    """Yield the tensors that share bytes, each with one that it shares them with."""
    reach: Span | None = None
    for span in sorted(span for span in spans if span.last > span.first):
        if reach is not None and span.first < reach.last:
            yield reach.tensor, span.tensor
            yield span.tensor, reach.tensor
        if reach is None or span.last > reach.last:
            reach = span


def holes(spans: Sequence[Span], length: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of bytes up to `length` that belong to no tensor; no spans may overlap."""
    used = sorted(span for span in spans if span.last > span.first)
    edges = [Span(0, 0, ""), *used, Span(length, length, "")]
    for before, after in itertools.pairwise(edges):
        if before.last < after.first:
            yield before.last, after.first
