"""Stages of work on batches, which overlap in the threads of a pool. Knows nothing of photos.

Each batch passes all stages. Several batches are in work at once, so that all threads are busy while the
stages of one batch wait for each other.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, NamedTuple


class Each(NamedTuple):
    """Stage that works on each item of a batch by itself, on several at the same time."""

    work: Callable[[Any], Any]


class Together(NamedTuple):
    """Stage that works on all items of a batch at once, and returns as many."""

    work: Callable[[list[Any]], list[Any]]


Stage = Each | Together


def overlapped(
    batches: Iterable[Sequence[Any]], stages: Sequence[Stage], threads: Executor, most: int
) -> Iterator[list[Any]]:
    """Yield the results of the last stage batch by batch, in the order of the batches.

    An error of a stage is raised here as soon as it occurs. The caller then ends the threads.

    Args:
        batches: items, in batches that are not empty.
        stages: stages that each batch passes sequentially.
        threads: executor that runs the stages.
        most: largest number of batches in work at once, with the batch that is yielded.
    """
    waiting = iter(batches)
    in_work: deque[_InWork] = deque()
    running: dict[Future[Any], _InWork] = {}
    while True:
        while len(in_work) < most and (items := next(waiting, None)) is not None:
            in_work.append(_InWork(items, stages))
            running.update(in_work[-1].start_stage(threads))
        if not in_work:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            batch = running.pop(future)
            if batch.has_ended_stage(future):
                running.update(batch.start_stage(threads))
        while in_work and in_work[0].has_ended:
            yield in_work[0].items
            in_work.popleft()


class _InWork:
    """Batch on its way through the stages."""

    def __init__(self, items: Sequence[Any], stages: Sequence[Stage]) -> None:
        self.items = list(items)
        self.has_ended = False
        self._stages = iter(stages)
        self._places: dict[Future[Any], slice] = {}

    def start_stage(self, threads: Executor) -> "dict[Future[Any], _InWork]":
        """Start the next stage, and return its futures; without one, the batch has ended."""
        stage = next(self._stages, None)
        if stage is None:
            self.has_ended = True
        elif isinstance(stage, Together):
            self._places = {threads.submit(stage.work, self.items): slice(None)}
        else:
            self._places = {
                threads.submit(_one, stage.work, item): slice(place, place + 1)
                for place, item in enumerate(self.items)
            }
        return dict.fromkeys(self._places, self)

    def has_ended_stage(self, future: Future[Any]) -> bool:
        """Store the results of a future, and return whether it was the last one of the stage.

        Raises:
            Exception: the error of the stage.
        """
        self.items[self._places.pop(future)] = future.result()
        return not self._places


def _one(work: Callable[[Any], Any], item: Any) -> list[Any]:
    return [work(item)]
