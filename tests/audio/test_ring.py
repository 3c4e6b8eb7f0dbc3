from __future__ import annotations

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.audio.samples import Floats


def ramp(start: int, count: int) -> Floats:
    return np.arange(start, start + count, dtype=np.float32)


def read_all(ring: RingBuffer) -> list[tuple[str, int, int]]:
    return [(type(item).__name__, item.start, item.end) for item in ring]


def test_samples_come_out_as_they_went_in() -> None:
    ring = RingBuffer(10)
    ring.write(ramp(0, 7))
    first = ring.read(4)
    assert isinstance(first, Chunk)
    assert first.start == 0
    np.testing.assert_array_equal(first.samples, ramp(0, 4))
    ring.write(ramp(7, 6))  # across the end of the memory
    rest = ring.read(100)
    assert isinstance(rest, Chunk)
    assert rest.start == 4
    np.testing.assert_array_equal(rest.samples, ramp(4, 9))
    assert ring.read(100) is None
    assert (ring.overruns, ring.lost_samples, ring.free) == (0, 0, 10)


def test_a_consumer_that_is_overtaken_gets_a_gap_and_then_half_a_ring_in_one_piece() -> None:
    ring = RingBuffer(100)
    ring.write(ramp(0, 60))
    ring.write(ramp(60, 60))
    assert read_all(ring) == [("Gap", 0, 70), ("Chunk", 70, 120)]
    assert (ring.overruns, ring.lost_samples) == (1, 70)


def test_a_block_larger_than_the_ring_leaves_its_newest_samples() -> None:
    ring = RingBuffer(8)
    ring.write(ramp(0, 21))
    np.testing.assert_array_equal(ring.copy(0, 99).samples, ramp(13, 8))
    assert read_all(ring) == [("Gap", 0, 17), ("Chunk", 17, 21)]


def test_what_the_source_lost_is_a_gap_in_its_place() -> None:
    ring = RingBuffer(100)
    ring.write(ramp(0, 10))
    ring.skip(30)
    ring.write(ramp(40, 5))
    assert read_all(ring) == [("Chunk", 0, 10), ("Gap", 10, 40), ("Chunk", 40, 45)]
    assert (ring.overruns, ring.lost_samples) == (0, 30)


def test_a_gap_longer_than_the_ring_is_still_one_gap_of_its_length() -> None:
    ring = RingBuffer(16)
    ring.write(ramp(0, 4))
    assert read_all(ring) == [("Chunk", 0, 4)]
    ring.skip(1000)
    ring.write(ramp(1004, 3))
    assert read_all(ring) == [("Gap", 4, 1004), ("Chunk", 1004, 1007)]
    assert (ring.overruns, ring.lost_samples) == (0, 1000)


def test_a_stuttering_source_fills_no_memory_and_hides_no_loss() -> None:
    ring = RingBuffer(10_000)
    lost = 0
    for _ in range(500):
        ring.write(ramp(0, 2))
        ring.skip(3)
        lost += 3
    items = read_all(ring)
    assert items[-1][2] == ring.written == 2500
    assert ring.lost_samples >= lost
    assert len(items) < 200


def test_copy_gives_what_is_still_held_and_moves_nothing() -> None:
    ring = RingBuffer(10)
    ring.write(ramp(0, 6))
    ring.skip(2)
    ring.write(ramp(8, 5))
    held = ring.copy(0, 12)
    assert held.start == 3
    np.testing.assert_array_equal(held.samples, [3, 4, 5, 0, 0, 8, 9, 10, 11])
    assert ring.copy(20, 30).samples.size == 0


@settings(deadline=None)
@given(
    capacity=st.integers(1, 40),
    steps=st.lists(st.tuples(st.sampled_from("wwrs"), st.integers(0, 60)), max_size=60),
)
def test_every_sample_is_read_once_or_lost_in_a_gap(
    capacity: int, steps: list[tuple[str, int]]
) -> None:
    ring, position, marked = RingBuffer(capacity), 0, set[int]()

    def take(limit: int) -> bool:
        nonlocal position
        item = ring.read(limit)
        if item is None:
            return False
        assert item.start == position
        assert item.end > position
        position = item.end
        if isinstance(item, Chunk):
            np.testing.assert_array_equal(item.samples, ramp(item.start, item.samples.size))
            assert not marked.intersection(range(item.start, item.end))
        return True

    for kind, amount in steps:
        if kind == "w":
            ring.write(ramp(ring.written, amount))
        elif kind == "s" and amount:
            marked.update(range(ring.written, ring.written + amount))
            ring.skip(amount)
        elif kind == "r" and amount:
            take(amount)
    while take(1000):
        pass
    assert position == ring.written


def test_a_torn_copy_is_never_given_out() -> None:
    """A producer that laps the consumer all the time: what comes out is whole or a gap."""
    ring = RingBuffer(4096)
    stop = threading.Event()

    def produce() -> None:
        at = 0
        while not stop.is_set():
            ring.write(ramp(at % 2**20, 1500))
            at += 1500

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        chunks = 0
        while chunks < 2000:
            item = ring.read(3000)
            if isinstance(item, Gap) or item is None:
                continue
            chunks += 1
            # Written with indices modulo 2**20 by block, exact in float32.
            blocks = (item.start + np.arange(item.samples.size)) // 1500 * 1500
            inside = (item.start + np.arange(item.samples.size)) - blocks
            np.testing.assert_array_equal(item.samples, blocks % 2**20 + inside)
    finally:
        stop.set()
        producer.join()
