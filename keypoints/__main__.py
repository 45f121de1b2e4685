"""Entry point of ``python -m keypoints`` and of the command ``keypoints``."""

import atexit
import os
import sys
import threading

from keypoints.cli import main


def run() -> None:
    """Run the command line, and end the process at once.

    Python's own shutdown would take two seconds with torch and Lightning. Its necessary steps are done here,
    in the same order: threads, exit handlers, streams.
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
    except BrokenPipeError:  # the reader has stopped reading
        status = 1
    os._exit(status or 0)


if __name__ == "__main__":
    run()
