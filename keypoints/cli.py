"""``keypoints VERB [hydra overrides]``.

Heavy libraries are imported only once a verb's work begins, so help and mistakes answer at once.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from omegaconf import DictConfig, open_dict

from keypoints import __version__
from keypoints.configuration import conf_dir, quote_paths
from keypoints.errors import KeypointsError, one_line

DEBUG = "HYDRA_FULL_ERROR"
"""Set to 1, this environment variable shows the whole traceback of every error."""


def _train(cfg: DictConfig) -> None:
    from keypoints.train import train

    train(cfg)


VERBS: Mapping[str, tuple[Callable[[DictConfig], None], str]] = {
    "train": (_train, "train a model, or with -m one for each value of a sweep"),
}
"""The work of each verb, and what it is in one line. ``conf/VERB.yaml`` is its configuration."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with status 0 only if all went well."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0].startswith(("-sc", "--shell-completion")):
        _complete(arguments)
        return
    verb = _parser().parse_args(arguments[:1] or ["--help"]).verb
    work, _ = VERBS[verb]
    with _reported_errors():
        _run_hydra(verb, arguments[1:], work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keypoints",
        usage="keypoints VERB [key=value …]",
        description="Train, compare, inspect and ship facial-keypoint models.",
        epilog="\n".join(
            [
                "verbs:",
                *(f"  {verb:10} {what}" for verb, (_, what) in VERBS.items()),
                "",
                "`keypoints VERB --help` lists what can be overridden; tab completion:",
                '  eval "$(keypoints -sc install=bash)"',
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="what to do")
    parser.add_argument("--version", action="version", version=f"keypoints {__version__}")
    return parser


def _run_hydra(verb: str, arguments: Sequence[str], work: Callable[[DictConfig], None]) -> None:
    """Compose the verb's configuration and do its work, as ``hydra.main`` does."""
    import hydra

    command = list(sys.argv)
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        # A multirun gives each job a folder of its own.
        with open_dict(cfg):
            cfg.output = HydraConfig.get().runtime.output_dir
        try:
            with _arguments(command):  # Lightning starts further processes with it
                work(cfg)
        except Exception as error:  # a failed job does not stop the others; it has its status.json
            failures.append(error)

    with _arguments([f"keypoints {verb}", *quote_paths(arguments)]):
        hydra.main(config_path=str(conf_dir()), config_name=verb, version_base="1.3")(job)()
    if failures:
        raise failures[0]


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    """Let ``sys.argv`` be ``arguments`` meanwhile: Hydra reads it."""
    before, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Let the environment variable ``name`` have ``value`` meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _reported_errors() -> Iterator[None]:
    """Print what the user can mend on one line and exit with 1; other errors keep their traceback."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    wants_traceback = os.environ.get(DEBUG) == "1"
    with _environment(DEBUG, "1"):  # else Hydra prints the error, at length, and exits
        try:
            yield
        except KeyboardInterrupt:
            sys.exit(130)
        except (KeypointsError, HydraException, OmegaConfBaseException) as error:
            if wants_traceback:
                raise
            print(f"error: {_message(error)}", file=sys.stderr)
            sys.exit(1)


def _message(error: Exception) -> str:
    """The error on one line; of Hydra's, what is of use."""
    text = str(error)
    if not isinstance(error, KeypointsError):
        text = text.partition("Config search path:")[0]
        cause = error.__cause__
        if cause is not None and str(cause) not in text:
            text = f"{text} ({str(cause).splitlines()[0]})"
    return one_line(Exception(text))


def _complete(arguments: Sequence[str]) -> None:
    """Answer the shell: verbs first, then Hydra's completion for the verb that was typed."""
    line = os.environ.get("COMP_LINE", "")
    _, _, typed = line.lstrip().partition(" ")
    verb, space, rest = typed.lstrip().partition(" ")
    if "query=" in arguments[-1] and (not space or verb not in VERBS):
        print(" ".join(name for name in VERBS if name.startswith(verb)))
        return
    chosen = verb if verb in VERBS else next(iter(VERBS))
    import hydra

    with _environment("COMP_LINE", f"keypoints {rest}"), _arguments(["keypoints", *arguments]):
        hydra.main(config_path=str(conf_dir()), config_name=chosen, version_base="1.3")(_nothing)()


def _nothing(cfg: DictConfig) -> None:
    """Completion runs no job."""
