import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from keypoints.inference.stages import Each, Together, overlapped

BATCHES = [range(start, min(start + 4, 22)) for start in range(0, 22, 4)]


@pytest.fixture
def threads():
    with ThreadPoolExecutor(3) as pool:
        yield pool


def test_results_come_batch_by_batch_in_the_order_of_the_items(threads):
    released = threading.Event()

    def first_is_last(item):
        if item == 0:
            assert released.wait(60)
        if item == 7:
            released.set()
        return item + 1

    done = list(overlapped(BATCHES, [Each(first_is_last), Together(sorted), Each(str)], threads, 3))
    assert done == [[str(item + 1) for item in batch] for batch in BATCHES]


def test_a_batch_has_all_items_of_the_stage_before(threads):
    done = overlapped(BATCHES, [Each(float), Together(lambda items: [sum(items)] * len(items))], threads, 2)
    assert list(done) == [[float(sum(batch))] * len(batch) for batch in BATCHES]


def test_stages_of_different_batches_overlap(threads):
    meeting = threading.Barrier(2, timeout=60)

    def early(item):
        if item == 4:
            meeting.wait()
        return item

    def late(items):
        if items[0] == 0:
            meeting.wait()
        return items

    assert len(list(overlapped(BATCHES, [Each(early), Together(late)], threads, 2))) == len(BATCHES)


def test_few_batches_are_in_work_at_once(threads):
    begun, most = [], []

    def batches():
        for number, batch in enumerate(BATCHES):
            begun.append(number)
            yield batch

    for number, _ in enumerate(overlapped(batches(), [Each(str)], threads, 2)):
        most.append(len(begun) - number)
    assert max(most) == 2
    assert len(most) == len(BATCHES)


@pytest.mark.parametrize("place", range(3))
def test_an_error_of_any_stage_is_raised(threads, place):
    def fail(_):
        raise OSError("the disk is full")

    stages = [Each(str), Together(list), Each(str)]
    stages[place] = type(stages[place])(fail)
    with pytest.raises(OSError, match="the disk is full"):
        list(overlapped(BATCHES, stages, threads, 3))


def test_without_batches_there_is_nothing_to_do(threads):
    assert list(overlapped([], [Each(str)], threads, 2)) == []
