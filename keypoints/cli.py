"""``keypoints VERB [hydra overrides]``.

Heavy libraries are imported only once a verb's work begins, so help and mistakes answer at once.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from keypoints import __version__, works
from keypoints.configuration import (
    as_typed,
    check_files,
    conf_dir,
    is_given,
    quote_paths,
    register,
    varied_by_hand,
)
from keypoints.errors import ConfigError, KeypointsError, one_line, printable
from keypoints.files import OF_DISKS
from keypoints.logs import PlainRecord
from keypoints.ranks import is_recorded, run_to_join
from keypoints.stopping import stop_of, stoppable
from keypoints.workers import end_with

DEBUG = "HYDRA_FULL_ERROR"
"""Set to 1, this environment variable shows the whole traceback of every error."""

EXTRAS = {"launcher/joblib": "parallel", "launcher/submitit_slurm": "slurm", "sweeper/optuna": "search"}
"""What brings the choices of Hydra's that a plain installation lacks."""

_WITH_VALUE = frozenset(
    {
        *("--cfg", "-c", "--package", "-p", "--info", "-i", "--experimental-rerun"),
        *("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"),
    }
)
"""Hydra's flags that a value may follow."""

Work = Callable[[DictConfig], None]
Job = Callable[[DictConfig], float | None]
"""What Hydra calls for each job; it gives a search's objective."""


@dataclass(frozen=True)
class Verb:
    """What a verb does.

    Args:
        what: in one line.
        config: the primary file in ``conf/``.
        work: the work of a verb that makes no run; training is :func:`_train`'s.
        positional: the key that an argument without ``=`` stands for.
    """

    what: str
    config: str
    work: Work | None = None
    positional: str | None = None


VERBS: Mapping[str, Verb] = {
    "train": Verb("train a model, or one for each value of a sweep", "train"),
    "evaluate": Verb(
        "measure a checkpoint on a split: metrics, figures, a page", "evaluate", works.evaluate, "checkpoint"
    ),
    "predict": Verb("find the landmarks of your own photos", "predict", works.predict, "checkpoint"),
    "demo": Verb("a page to try a model in the browser", "demo", works.demo, "checkpoint"),
    "export": Verb("write a checkpoint as one ONNX file", "export", works.export, "checkpoint"),
    "submit": Verb("write or check the course's 300-W submission", "submit", works.submit, "checkpoint"),
    "report": Verb("make the report of a run or a sweep again", "report", works.report, "folder"),
    "bench": Verb("measure how fast a training is, and what its time goes to", "bench", works.bench),
    "data preview": Verb("draw what the network really gets", "preview", works.preview),
    "data synthesize": Verb("make up faces to try things out with", "synthesize", works.synthesize),
    "data download": Verb(
        "download a data set from its official place", "download", works.download, "dataset"
    ),
    "data convert": Verb("write a list of labelled photos in another format", "convert", works.convert),
    "data shrink": Verb("make a compact copy of a data set", "shrink", works.shrink, "dataset"),
    "data verify": Verb(
        "look at every file of a data set: is it all there and usable", "verify", works.verify, "dataset"
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with status 0 only if all went well."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0].startswith(("-sc", "--shell-completion")):
        _complete(arguments)
        return
    words = 2 if arguments[:1] == ["data"] else 1
    chosen = _parser().parse_args(arguments[:words] or ["--help"])
    name = " ".join(filter(None, [chosen.verb, getattr(chosen, "action", None)]))
    verb, rest = VERBS[name], arguments[words:]
    logging.setLogRecordFactory(PlainRecord)  # of every logger: names of files are in what they say
    with _reported_errors(), stoppable():
        if verb.work is None:
            with _alone_in_sweep(rest):
                _train(rest)
        else:
            _work(name, verb, verb.work, rest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keypoints",
        usage="keypoints VERB [key=value …]",
        description="Train, compare, inspect and ship facial-keypoint models.",
        epilog="`keypoints VERB --help` lists what can be overridden. "
        'Tab completion: eval "$(keypoints -sc install=bash)"',
    )
    parser.add_argument("--version", action="version", version=f"keypoints {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    data = None
    for name, verb in VERBS.items():
        first, _, action = name.partition(" ")
        if not action:
            verbs.add_parser(first, help=verb.what, add_help=False)
            continue
        if data is None:
            usage = f"keypoints {first} ACTION [key=value …]"
            within = verbs.add_parser(
                first, help="make up, fetch, look at, verify, shrink and convert faces", usage=usage
            )
            data = within.add_subparsers(dest="action", metavar="ACTION", required=True)
        data.add_parser(action, help=verb.what, add_help=False)
    return parser


def _work(name: str, verb: Verb, work: Work, arguments: list[str]) -> None:
    """Do the work of a verb that makes no run."""
    flags, overrides = split_flags(arguments)
    if verb.positional:
        overrides = [f"{verb.positional}={each}" if _is_plain(each) else each for each in overrides]
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> None:
        try:
            work(cfg)
        except Exception as error:  # raised below, past Hydra's own report of it
            failures.append(error)

    _hydra(f"keypoints {name}", verb.config, job, [*flags, *overrides])
    if failures:
        raise failures[0]


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's flags with their values, and the rest, wherever they stand: it wants flags first.

    >>> split_flags(["seed=1", "--config-dir", "my_conf", "-m", "data=mine"])
    (['--config-dir', 'my_conf', '-m'], ['seed=1', 'data=mine'])
    """
    flags: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument.startswith("-"):
            flags.append(argument)
            if argument in _WITH_VALUE and (value := next(left, None)) is not None:
                flags.append(value)
        else:
            rest.append(argument)
    return flags, rest


def _is_plain(argument: str) -> bool:
    """Whether it is neither a flag nor key=value; a path that exists is plain whatever its name."""
    return not argument.startswith("-") and ("=" not in argument or Path(argument).exists())


def _train(arguments: list[str]) -> None:
    """One run or a multirun. A failed job does not stop the others."""
    if (folder := run_to_join()) is not None:
        from keypoints.train import take_part

        take_part(folder, recorded=is_recorded())
        return
    from keypoints.sweeps import RememberSweep

    flags, overrides = split_flags(arguments)
    arguments = [*flags, *overrides]
    resumed = any(argument.startswith("resume=") for argument in arguments)
    if resumed:
        arguments = _resumed(arguments)
    command, launcher, failures = list(sys.argv), os.getpid(), list[Exception]()

    def job(cfg: DictConfig) -> float | None:
        end_with(launcher)
        try:
            with _arguments(command):  # Lightning starts further processes with it
                return works.train(cfg, resumed=resumed)
        except Exception as error:  # the others go on; its status.json says so too
            failures.append(error)
            return None

    RememberSweep.forget()
    extra = [f"hydra.job.config.override_dirname.exclude_keys={_constant_keys(arguments)}"]
    if (output := is_given(arguments, "output")) is not None:
        extra.append(f"hydra.sweep.dir={output}")
    try:
        _hydra("keypoints train", "train", job, [*arguments, *extra] if _runs(arguments) else arguments)
    except KeyboardInterrupt as error:
        if RememberSweep.started is None:
            raise
        works.end_sweep(RememberSweep.started, stopped=True)
        stop = stop_of(error)
        stop.__notes__ = [works.kept_of_sweep(RememberSweep.started)]
        raise stop from None
    except BrokenProcessPool as error:  # of launch=cores
        raise works.killed_workers(RememberSweep.started) from error
    except BaseException:
        if RememberSweep.started is not None:
            works.end_sweep(RememberSweep.started, stopped=False)
        raise
    if RememberSweep.started is not None and (
        failed := works.end_sweep(RememberSweep.started, stopped=False)
    ):
        raise ConfigError(f"{failed} of the sweep's runs did not finish")
    if failures:
        raise failures[0]


@contextmanager
def _alone_in_sweep(arguments: Sequence[str]) -> Iterator[None]:
    """Keep others from training the sweep whose folder the command names; a run's status does it for runs."""
    resumed, output = is_given(arguments, "resume"), is_given(arguments, "output")
    folder = (resumed or output or "").strip("'\"")
    sweeps = any(each in ("-m", "--multirun") or each.startswith("sweep=") for each in arguments)
    if not folder or "${" in folder or run_to_join() is not None or not _runs(arguments):
        yield
        return
    from keypoints.files import alone
    from keypoints.runs import is_sweep

    with alone(Path(folder)) if (is_sweep(Path(folder)) if resumed else sweeps) else nullcontext():
        yield


def _runs(arguments: Sequence[str]) -> bool:
    """Whether anything will be run, and not only shown."""
    flags = ("-h", "--help", "--hydra-help", "-c", "--cfg", "-i", "--info", "--version")
    return not any(argument.partition("=")[0] in flags for argument in arguments)


def _constant_keys(arguments: Sequence[str]) -> str:
    """The keys that are the same in all jobs, for Hydra: a job is named by the others."""
    return "[" + ",".join(f"'{key}'" for key in varied_by_hand(arguments)[1]) + "]"


def _resumed(arguments: Sequence[str]) -> list[str]:
    """Return the command that goes on with the run or the sweep of ``resume=<folder>``, in that folder.

    Raises:
        ConfigError: if something is given that would change what the run or the sweep is.
    """
    from keypoints.runs import RunFolder
    from keypoints.sweeps import SweepFolder

    flags, given = split_flags([each for each in arguments if each not in ("-m", "--multirun")])
    (first, *_) = (argument for argument in given if argument.startswith("resume="))
    beside = [argument for argument in given if argument != first]
    if any(argument.partition("=")[0] != "trust" and not _is_hydras(argument) for argument in beside):
        raise ConfigError(
            "resume=<folder> stands alone, or with trust=<package>: the configuration that it began with is "
            "used again"
        )
    folder = Path(first.partition("=")[2].strip("'\""))
    output = quote_paths([f"output={folder}"])
    if RunFolder(folder).status_file.exists():
        return [*flags, *output, *beside]
    if not SweepFolder(folder).manifest.exists():
        raise ConfigError(f"{folder}: is neither a run's folder nor a sweep's; `keypoints train` makes them")
    return ["-m", *flags, *SweepFolder(folder).to_resume(beside), *output, *beside]


def _is_hydras(argument: str) -> bool:
    """Return whether it is a setting of Hydra's own, which changes no run's configuration."""
    return argument.lstrip("+~").startswith(("hydra.", "hydra/"))


def _hydra(program: str, config: str, job: Job, arguments: Sequence[str]) -> None:
    """Compose the configuration and run ``job``, as ``hydra.main`` does."""
    import hydra

    register()
    check_files()
    with _arguments([program, *quote_paths(as_typed(config, arguments))]):
        hydra.main(config_path=str(conf_dir()), config_name=config, version_base="1.3")(job)()


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

    # A process that joins a run has the variable from the first one, which sets it below.
    wants_traceback = os.environ.get(DEBUG) == "1" and run_to_join() is None
    with _environment(DEBUG, "1"):  # else Hydra prints the error, at length, and exits
        try:
            yield
        except KeyboardInterrupt as error:
            stop = stop_of(error)
            print(printable("; ".join([str(stop), *getattr(error, "__notes__", ())])), file=sys.stderr)
            sys.exit(128 + stop.number)  # as a shell has it
        except (KeypointsError, HydraException, OmegaConfBaseException) as error:
            if wants_traceback:
                raise
            print(f"error: {_message(error)}", file=sys.stderr)
            sys.exit(1)
        except OSError as error:  # a folder that cannot be written, a full disk, which names no file
            if wants_traceback or (error.filename is None and error.errno not in OF_DISKS):
                raise
            where = "" if error.filename is None else f"{error.filename}: "
            way_out = "; ".join([OF_DISKS.get(error.errno or 0, ""), *getattr(error, "__notes__", ())])
            print(f"error: {one_line(f'{where}{error.strerror}{way_out}')}", file=sys.stderr)
            sys.exit(1)


def _message(error: Exception) -> str:
    """The error on one line; of Hydra's, what is of use."""
    text = str(error)
    if not isinstance(error, KeypointsError):
        text = text.partition("Config search path:")[0]
        cause = error.__cause__
        if cause is not None and str(cause) not in text:
            text = f"{text} ({str(cause).splitlines()[0]})"
        for choice, extra in EXTRAS.items():
            if f"Could not find 'hydra/{choice}'" in text:
                install = f"pip install -c constraints.txt -e '.[{extra}]'"
                text = f"hydra/{choice} is not installed: in the checkout, {install}"
    return one_line(Exception(text))


def _complete(arguments: Sequence[str]) -> None:
    """Answer the shell: verbs first, then Hydra's completion for the verb that was typed."""
    typed = os.environ.get("COMP_LINE", "").split(" ")[1:]
    words = 2 if typed[:1] == ["data"] else 1
    name, rest = " ".join(typed[:words]), typed[words:]
    if "query=" in arguments[-1] and (not rest or name not in VERBS):
        begun = " ".join(typed)
        print(" ".join(verb.split(" ")[words - 1] for verb in VERBS if verb.startswith(begun)))
        return
    with _environment("COMP_LINE", f"keypoints {' '.join(rest)}"):
        _hydra("keypoints", VERBS.get(name, VERBS["train"]).config, lambda _: None, arguments)
