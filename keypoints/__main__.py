"""``python -m keypoints``, and the command ``keypoints``."""

import atexit
import os
import sys
import threading

from keypoints.cli import main


def run() -> None:
    """The command line, in a process that ends as soon as it is done.

    Python would take everything apart first: two seconds for torch and Lightning. What has to be done at the
    end is done, in Python's own order: threads, exit handlers, streams.
    """
    try:
        main()
    except SystemExit as ended:
        status = ended.code
    else:
        status = 0
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # who read it wanted no more
        status = 1
    os._exit(status or 0)


if __name__ == "__main__":
    run()
