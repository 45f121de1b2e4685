"""Command line: ``keypoints VERB [hydra overrides]``.

Heavy libraries are imported only when a verb runs, so that help and error messages appear at once.
"""

import argparse
import errno
import io
import json
import logging
import os
import re
import select
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryFile

from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from keypoints._version import __version__
from keypoints.commands import VERBS, jobs
from keypoints.commands.help import show_help
from keypoints.commands.verb import Verb
from keypoints.config.checks import as_typed, check_swept_files, check_values
from keypoints.config.compose import check_files, preview, register
from keypoints.config.missing import MissingValueError, check_complete, missing, need
from keypoints.config.overrides import first_of_sweep, named_by_data, varied_by_hand
from keypoints.config.quoting import check_commas, is_given, is_multirun, own_folder, quote_paths
from keypoints.config.registry import conf_dir, is_group, schema_of, setting_named
from keypoints.config.unknown_keys import explain_unknown_key
from keypoints.distributed import is_recorded, run_to_join
from keypoints.errors import ConfigError, KeypointsError, one_line, printable, shortened
from keypoints.files import OF_DISKS
from keypoints.logs import PlainRecord, log_start
from keypoints.process import configure_libraries
from keypoints.runs.length import LENGTH
from keypoints.stopping import stop_of, stoppable
from keypoints.threads import limit_libraries
from keypoints.workers import end_with

log = logging.getLogger(__name__)

DEBUG = "HYDRA_FULL_ERROR"
"""Environment variable; the value 1 shows the full traceback of every error."""

EXTRAS = {"launcher/joblib": "parallel", "launcher/submitit_slurm": "slurm", "sweeper/optuna": "search"}
"""Extras that install the options of Hydra's groups that a plain installation lacks."""

_WITH_VALUE = frozenset(
    {
        *("--cfg", "-c", "--package", "-p", "--info", "-i", "--experimental-rerun"),
        *("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"),
    }
)
"""Hydra's flags that take a value."""

_SHOWING = re.compile(
    r"-h|--help|--hydra-help|--version|(-c|--cfg|-i|--info)(=.*)?|-c(job|hydra|all)|-i[a-z-]+"
)
"""Hydra's flags that show something and run nothing."""

_MISTYPED = re.compile(
    r"(?P<where>.*?)\w*Error raised .*?'(?P<value>.*?)' .*?full_key: (?P<key>\S+)", re.DOTALL
)
"""Hydra's message for a value in a file that does not have its setting's type."""

_REFERENCE = re.compile(r"Interpolation key '(?P<other>[^']+)' not found\s+full_key: (?P<key>\S+)")
"""OmegaConf's message for a value that refers to another one, which does not exist."""

_HELP = ("-h", "--help")

_OVERRIDE = re.compile(r"\+{0,2}[A-Za-z_][\w.@/$-]*=|~")
"""Beginning of an override; any other argument is a word without a key."""

_MODES = ("-m", "--multirun", "-r", "--run")
"""Hydra's flags for how jobs run; Hydra rejects them together with a flag that shows something."""

_COMPLETION = ("-sc", "--shell-completion")

_RERUN = "--experimental-rerun"
"""Hydra's flag that reads a pickle, which our runs do not have; Hydra also accepts its abbreviations."""

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of a folder in which no file can be created."""

NO_READER = 128 + 13
"""Exit status if the reader of the output has gone; a shell's status for SIGPIPE."""

Job = Callable[[DictConfig], float | None]
"""Function that Hydra calls for each job; it returns a search's objective."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. The exit status is 0 only on success.

    Args:
        arguments: arguments after the program's name; by default those of ``sys.argv``.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.setLogRecordFactory(PlainRecord)  # for all loggers: their messages contain file names
    logging.raiseExceptions = False  # a log that cannot be written would print a traceback per message
    with _reader_may_leave():
        completion = [place for place, each in enumerate(arguments) if each.startswith(_COMPLETION)]
        if completion:
            with _reported_errors():
                _complete(arguments[completion[0] :])
            return
        words = 2 if arguments[:1] == ["data"] else 1
        chosen = _parser().parse_args(arguments[:words] or ["--help"])
        name = " ".join(filter(None, [chosen.verb, getattr(chosen, "action", None)]))
        verb, rest = VERBS[name], arguments[words:]
        with _reported_errors(), stoppable():
            _check_flags(rest)
            rest = _with_key(verb, rest)
            if any(argument in _HELP for argument in rest):
                _help(verb, rest)
            elif verb.run is None:
                with _sweep_locked(rest):
                    _train(rest)
            else:
                _run_verb(verb, verb.run, rest)


def _with_key(verb: Verb, arguments: list[str]) -> list[str]:
    """Return the arguments; a first word without a key gets the verb's key.

    Raises:
        ConfigError: if another argument is neither a flag nor key=value.
    """
    flags, rest = split_flags(arguments)
    rest = [_renamed(verb, each) for each in rest]
    words = [each for each in rest if not _OVERRIDE.match(each)] if verb.takes_words else []
    if words and any(each.startswith(f"{verb.positional}=") for each in rest):
        raise ConfigError(f"{verb.positional}= is given twice: {words[0]}, and as a list")
    if words:
        others = [each for each in rest if _OVERRIDE.match(each)]
        return [*flags, f"{verb.positional}={json.dumps(words, ensure_ascii=False)}", *others]
    if verb.positional and rest and not _OVERRIDE.match(rest[0]):
        rest[0] = f"{verb.positional}={rest[0]}"
    elif verb.positional and rest and os.path.lexists(rest[0]):
        raise ConfigError(f"{rest[0]}: is a path; write {verb.positional}={rest[0]}")
    for argument in rest:
        if not _OVERRIDE.match(argument):
            takes = (
                f"takes one word, its {verb.positional}, right after the verb, and then only key=value"
                if verb.positional
                else "takes only key=value"
            )
            raise ConfigError(
                f"{shortened(argument, 120)}: has no key; keypoints {verb.name} {takes}: "
                f"`keypoints {verb.name} --help` lists the keys"
            )
    return [*flags, *rest]


def _renamed(verb: Verb, argument: str) -> str:
    """Return an argument with the key that a synonym stands for."""
    key, equals, value = argument.partition("=")
    return f"{verb.synonyms.get(key, key)}{equals}{value}" if equals else argument


def _help(verb: Verb, arguments: Sequence[str]) -> None:
    """Show the help of a verb, with the options that the arguments choose.

    Raises:
        ConfigError: if the arguments cannot be composed.
    """
    flags, rest = split_flags(arguments)
    overrides = as_typed(verb.config, [*flags, *rest])[len(flags) :]
    own = own_folder(flags)
    cfg = preview(verb.config, [flag for flag in flags if flag not in _HELP], quote_paths(overrides))
    if cfg is None:  # Hydra reports the reason
        kept = [flag for flag in flags if flag not in (*_HELP, *_MODES)]
        _hydra(f"keypoints {verb.name}", verb.config, lambda _: None, [*kept, "--cfg", "job", *rest])
        return
    show_help(verb, cfg, own)


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """End quietly if the reader of the output stops reading, as ``head`` does.

    Raises:
        SystemExit: with :data:`NO_READER`.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _has_no_reader():
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # for output that is still buffered
        sys.exit(NO_READER)


def _has_no_reader() -> bool:
    """Return whether the standard output is a pipe without a reader; another pipe may have broken."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keypoints",
        usage="keypoints VERB [key=value …]",
        description="Train, compare, inspect and ship facial-keypoint models.",
        epilog="`keypoints VERB --help` lists a verb's settings. "
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
                first, help="synthesize, download, preview, verify, shrink and convert data", usage=usage
            )
            data = within.add_subparsers(dest="action", metavar="ACTION", required=True)
        data.add_parser(action, help=verb.what, add_help=False)
    return parser


def _check_flags(arguments: Iterable[str]) -> None:
    """Check that no unsupported flag of Hydra is given.

    Raises:
        ConfigError: if one is given.
    """
    names = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
    if any(len(name) > len("--") and _RERUN.startswith(name) for name in names):
        raise ConfigError(
            f"{_RERUN}: is not supported; to resume a run or a sweep: keypoints train resume=<folder>"
        )


def _run_verb(verb: Verb, handler: Callable[[DictConfig], None], arguments: list[str]) -> None:
    """Run a verb other than ``train``."""
    flags, overrides = split_flags(arguments)
    if "name" in schema_of(verb.config).settings:
        overrides = named_by_data(overrides)
    if _shows(flags):
        flags, overrides = _to_show(verb.config, flags, overrides)
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> None:
        try:
            check_values(verb.config, cfg)
            _check_given(verb, cfg, own_folder(flags))
            log_start(log, verb.start(cfg), slow=verb.slow_start)
            limit_libraries()
            handler(cfg)
        except Exception as error:  # raised again below: Hydra would print its own report
            place = schema_of(verb.config).settings.get("output")
            if place is not None and place.place and _is_of_output(error, cfg.get("output")):
                error.add_note(f"name another {place.place}: output=<{place.place}>")
            failures.append(error)

    _hydra(f"keypoints {verb.name}", verb.config, job, [*flags, *overrides])
    if failures:
        raise failures[0]


def _check_given(verb: Verb, cfg: DictConfig, own: Path | None) -> None:
    """Check that no required value is missing; ``bench`` checks its own, since it may need no training.

    Raises:
        ConfigError: if a value is missing.
    """
    if verb.name == "bench":
        return
    check_complete(cfg, own, verb.config)


def _is_of_output(error: Exception, output: object) -> bool:
    """Return whether an error says that the output of a verb cannot be created or written to.

    An error that names another key to change, such as ``root=<folder>``, is not of the output.

    Args:
        error: error of the verb, which may be caused by an OSError.
        output: the configuration's output; ``None`` if the verb chooses the path.
    """
    cause = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(cause, OSError) or not isinstance(cause.filename, str) or "=<" in str(error):
        return False
    place = Path(cause.filename).absolute()
    if output is None:
        return cause.errno in _NOT_WRITABLE and not os.path.lexists(place)
    named = Path(str(output)).absolute()
    return named in (place, *place.parents) or place in named.parents


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's flags with their values, and the other arguments, since Hydra wants flags first.

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


def _train(arguments: list[str]) -> None:
    """Train one run or a multirun. A failed job does not stop the others.

    Raises:
        ConfigError: if a run of a sweep did not finish.
        KeypointsError: the error of a single run.
    """
    if (folder := run_to_join()) is not None:
        from keypoints.commands.train import join_run

        configure_libraries()
        join_run(folder, recorded=is_recorded())
        return
    from keypoints.runs.sweep_folder import RememberSweep

    resumed = any(argument.startswith("resume=") for argument in arguments)
    flags, overrides = split_flags(_resumed(arguments) if resumed else arguments)
    if not resumed:
        overrides = named_by_data(overrides)
    if _shows(flags):
        flags, overrides = _to_show("train", flags, overrides)
    arguments = [*flags, *overrides]
    command, launcher, failures = list(sys.argv), os.getpid(), list[Exception]()

    def job(cfg: DictConfig) -> float | None:
        end_with(launcher)
        try:
            with _arguments(command):  # Lightning starts further processes with this command
                return jobs.job(cfg, resumed=resumed)
        except Exception as error:  # the other jobs continue; status.json has the error too
            failures.append(error)
            return None

    RememberSweep.forget()
    if not _shows(flags):
        extra = [f"hydra.job.config.override_dirname.exclude_keys={_constant_keys(arguments)}"]
        output = is_given(arguments, "output")
        place = None if output is None else f"hydra.sweep.dir={output}"
        arguments = [
            *arguments,
            *filter(None, [*extra, place if resumed else _check_start(flags, overrides)]),
        ]
    try:
        _hydra("keypoints train", "train", job, arguments)
    except KeyboardInterrupt as error:
        if RememberSweep.started is None:
            raise
        jobs.end_sweep(RememberSweep.started, stopped=True)
        stop = stop_of(error)
        stop.__notes__ = [jobs.kept_of_sweep(RememberSweep.started)]
        raise stop from None
    except BrokenProcessPool as error:  # of launch=cores
        raise jobs.killed_workers(RememberSweep.started) from error
    except BaseException as error:
        failed = 0
        if RememberSweep.started is not None:
            failed = jobs.end_sweep(RememberSweep.started, stopped=False)
        if failed and isinstance(error, ValueError):  # Optuna's error if no run has a result
            raise ConfigError(f"{failed} of the sweep's runs did not finish ({one_line(error)})") from error
        raise
    if RememberSweep.started is not None and (failed := jobs.end_sweep(RememberSweep.started, stopped=False)):
        raise ConfigError(f"{failed} of the sweep's runs did not finish")
    if failures:
        raise failures[0]


@contextmanager
def _sweep_locked(arguments: Sequence[str]) -> Iterator[None]:
    """Keep other commands from training the same sweep; for a single run, its status does so."""
    resumed, output = is_given(arguments, "resume"), is_given(arguments, "output")
    folder = (resumed or output or "").strip("'\"")
    sweeps = is_multirun(arguments)
    if not folder or "${" in folder or run_to_join() is not None or _shows(arguments):
        yield
        return
    from keypoints.files import locked
    from keypoints.runs.run_folder import is_sweep

    with ExitStack() as stack:
        if is_sweep(Path(folder)) if resumed else sweeps:
            with _folder_errors_reported(Path(folder)):
                stack.enter_context(locked(Path(folder)))
        yield


def _shows(arguments: Iterable[str]) -> bool:
    """Return whether a flag asks to show something instead of running the verb."""
    return any(_SHOWING.fullmatch(argument) for argument in arguments)


def _to_show(config: str, flags: Sequence[str], overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return flags and overrides with which Hydra shows something; print which required values are missing.

    For a multirun the first run is shown: Hydra cannot show others.

    Raises:
        ConfigError: if two flags ask to show something, or ``--resolve`` needs a missing value.
    """
    wanted = [flag for flag in flags if _SHOWING.fullmatch(flag)]
    if len({flag.partition("=")[0] for flag in wanted}) > 1:
        raise ConfigError(f"{' '.join(wanted)}: only one of them at a time")
    typed = as_typed(config, [*flags, *overrides])
    kept = [flag for flag in flags if flag not in _MODES]
    shown = quote_paths(typed)[len(flags) :]
    if is_multirun([*flags, *overrides]):
        shown = first_of_sweep(shown)
    if wanted[0].startswith(("-c", "--cfg")) and (cfg := preview(config, kept, shown)) is not None:
        message = missing(cfg, own_folder(flags))
        if message is not None and "--resolve" in flags:
            raise ConfigError(message)
        if message is not None:
            print(printable(f"missing: {message}"), file=sys.stderr)
    return kept, shown


def _check_start(flags: Sequence[str], overrides: Sequence[str]) -> str | None:
    """Check that a training can start: all values are given, and its folder can be written to.

    Args:
        flags: Hydra's flags, with their values.
        overrides: overrides of the command, as typed.

    Returns:
        Hydra's override for the folder of the run or the sweep. The folder is fixed here, since its name may
        contain the time, and values that differ between a sweep's runs.

    Raises:
        ConfigError: if a value or a file of a sweep is missing, or the folder cannot be used.
    """
    from hydra.types import RunMode

    if "--resolve" in flags:
        raise ConfigError("--resolve goes with --cfg or --help")
    check_commas([*flags, *overrides])
    typed = as_typed("train", [*flags, *overrides])[len(flags) :]
    output = is_given(overrides, "output")
    place = None if output is None else f"hydra.sweep.dir={output}"
    cfg = preview("train", flags, quote_paths([*typed, *filter(None, [place])]))
    if cfg is None:
        return place  # Hydra reports the error later
    sweeps = is_multirun([*flags, *overrides]) or cfg.hydra.mode == RunMode.MULTIRUN
    check_values("train", cfg)
    check_complete(cfg, own_folder(flags))
    if sweeps:
        check_swept_files(cfg, typed)
        jobs.check_swept_folds(cfg, typed)
    try:
        folder = str(cfg.hydra.sweep.dir if sweeps else cfg.hydra.run.dir)
    except OmegaConfBaseException:
        return place
    _check_folder(Path(folder), sweep=sweeps)
    return f"hydra.{'sweep' if sweeps else 'run'}.dir={folder}"


def _check_folder(folder: Path, *, sweep: bool) -> None:
    """Check that a run's or a sweep's folder can be created and written to.

    Raises:
        ConfigError: if it cannot, or already holds a sweep.
    """
    from keypoints.runs.sweep_folder import SweepFolder

    absent = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    with _folder_errors_reported(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except (OSError, ValueError):
            for each in absent:
                with suppress(OSError, ValueError):
                    each.rmdir()
            raise
    if sweep and SweepFolder(folder).begun():
        raise ConfigError(
            f"{folder}: holds a sweep already; resume it with: "
            f"keypoints train {shlex.quote(f'resume={folder}')}, or name another folder: output=<folder>"
        )


@contextmanager
def _folder_errors_reported(folder: Path) -> Iterator[None]:
    """Turn an error in creating or writing ``folder`` into a ConfigError."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{shortened(str(folder), 120)}: cannot be made or written to ({why}); name another folder: "
            "output=<folder>"
        ) from error


def _constant_keys(arguments: Sequence[str]) -> str:
    """Return the keys that are equal in all jobs, as a list for Hydra, which leaves them out of job names."""
    return "[" + ",".join(f"'{key}'" for key in varied_by_hand(arguments)[1]) + "]"


def _resumed(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that resume the run or the sweep of ``resume=<folder>`` in that folder.

    Raises:
        ConfigError: if the folder holds neither, or another argument would change the run or the sweep.
    """
    from keypoints.runs.run_folder import RunFolder
    from keypoints.runs.sweep_folder import SweepFolder

    flags, given = split_flags([each for each in arguments if each not in ("-m", "--multirun")])
    (first, *_) = (argument for argument in given if argument.startswith("resume="))
    beside = [argument for argument in given if argument != first]
    folder = Path(first.partition("=")[2].strip("'\""))
    is_run = RunFolder(folder).status_file.exists()
    allowed = ("trust", LENGTH) if is_run else ("trust",)
    if any(argument.partition("=")[0] not in allowed and not _is_hydras(argument) for argument in beside):
        raise ConfigError(
            "resume=<folder> takes no other setting, except trust=<package>, and for a run "
            "trainer.max_epochs: the original configuration is used again"
        )
    output = quote_paths([f"output={folder}"])
    if is_run:
        return [*flags, *output, *beside]
    if folder.is_file():
        from keypoints.file_kinds import describe_file

        kind = (describe_file(folder) or "a file").partition(";")[0]
        raise ConfigError(f"{folder}: is {kind}; resume= takes the folder of a run or a sweep")
    if not SweepFolder(folder).manifest.exists():
        raise ConfigError(
            f"{folder}: is neither a run's folder nor a sweep's; `keypoints train` creates them"
        )
    return ["-m", *flags, *SweepFolder(folder).to_resume(beside), *output, *beside]


def _is_hydras(argument: str) -> bool:
    """Return whether an argument is Hydra's own setting, which changes no run's configuration."""
    return argument.lstrip("+~").startswith(("hydra.", "hydra/"))


def _hydra(program: str, config: str, job: Job, arguments: Sequence[str]) -> None:
    """Compose the configuration and run ``job``, as ``hydra.main`` does."""
    import hydra
    from hydra.errors import ConfigCompositionException

    register()
    check_files()

    def configured(cfg: DictConfig) -> float | None:
        configure_libraries()
        return job(cfg)

    with _arguments([program, *quote_paths(as_typed(config, arguments))]):
        try:
            hydra.main(config_path=str(conf_dir()), config_name=config, version_base="1.3")(configured)()
        except ConfigCompositionException as error:
            message = explain_unknown_key(config, arguments, str(error))
            if message is None:
                raise
            raise ConfigError(message) from error


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    """Set ``sys.argv``, which Hydra reads, to ``arguments`` during the block."""
    before, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set the environment variable ``name`` to ``value`` during the block."""
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
    """Print an error that the user can fix on one line and exit with 1; other errors keep their traceback."""
    from hydra.errors import HydraException

    # A process that joins a run inherits the variable from the first process, which sets it below.
    wants_traceback = os.environ.get(DEBUG) == "1" and run_to_join() is None
    with _environment(DEBUG, "1"):  # otherwise Hydra prints the error, at length, and exits
        try:
            yield
        except KeyboardInterrupt as error:
            stop = stop_of(error)
            print(printable("; ".join([str(stop), *getattr(error, "__notes__", ())])), file=sys.stderr)
            sys.exit(128 + stop.number)  # a shell's status for this signal
        except (KeypointsError, HydraException, OmegaConfBaseException) as error:
            if wants_traceback:
                raise
            print(f"error: {_message(error)}", file=sys.stderr)
            sys.exit(1)
        except OSError as error:  # a folder that cannot be written to, or a full disk, which names no file
            if wants_traceback or (error.filename is None and error.errno not in OF_DISKS):
                raise
            where = "" if error.filename is None else f"{error.filename}: "
            way_out = "; ".join([OF_DISKS.get(error.errno or 0, ""), *getattr(error, "__notes__", ())])
            print(f"error: {one_line(f'{where}{error.strerror}{way_out}')}", file=sys.stderr)
            sys.exit(1)


def _is_missing(error: BaseException | None) -> bool:
    """Return whether the error is, or was caused by, a missing required value."""
    if error is None or isinstance(error, MissingMandatoryValue | MissingValueError):
        return error is not None
    return _is_missing(error.__cause__ or error.__context__)


def _message(error: Exception) -> str:
    """Return the message of an error on one line, without the unhelpful parts of Hydra's messages."""
    text = "; ".join([str(error), *getattr(error, "__notes__", ())])
    if isinstance(error, OmegaConfBaseException) and error.full_key and _is_missing(error):
        text = need(str(error.full_key))
    elif found := _REFERENCE.match(text):
        text = (
            f"{found['key']} refers to {found['other']}, which is not set here; give "
            f"{found['key']}=<value>, or set {found['other']}"
        )
    elif not isinstance(error, KeypointsError):
        text = _explain_type(text.partition("Config search path:")[0])
        cause = error.__cause__
        if cause is not None and str(cause) not in text:
            text = f"{text} ({str(cause).splitlines()[0]})"
        for choice, extra in EXTRAS.items():
            if f"Could not find 'hydra/{choice}'" in text:
                install = f"pip install -c constraints.txt -e '.[{extra}]'"
                text = f"hydra/{choice} is not installed: in the checkout, {install}"
    return one_line(Exception(text))


def _explain_type(text: str) -> str:
    """Return our message if OmegaConf could not convert a value to its setting's type, else the text."""
    found = _MISTYPED.match(text)
    setting = None if found is None else setting_named(found["key"])
    if found is None or setting is None:
        return text
    return f"{found['where'].strip()} {setting.key} is {setting}, not {found['value']!r}"


def _complete(arguments: Sequence[str]) -> None:
    """Print tab completions for the shell: verbs first, then Hydra's completions for the typed verb.

    Raises:
        ConfigError: if the arguments of ``-sc`` are invalid.
    """
    if len(arguments) != 2 or not re.fullmatch(r"(install|uninstall|query)=\w+", arguments[-1]):
        raise ConfigError(
            "-sc install=<shell>, uninstall=<shell> or query=<shell>; a shell is bash, zsh or fish"
        )
    typed = os.environ.get("COMP_LINE", "").split(" ")[1:]
    words = 2 if typed[:1] == ["data"] else 1
    name, rest = " ".join(typed[:words]), typed[words:]
    if "query=" in arguments[-1] and (not rest or name not in VERBS):
        begun = " ".join(typed)
        print(" ".join(verb.split(" ")[words - 1] for verb in VERBS if verb.startswith(begun)))
        return
    flags, before = split_flags(rest[:-1])
    config = VERBS.get(name, VERBS["train"]).config
    answer = io.StringIO()
    with suppress(ConfigError), _environment("COMP_LINE", " ".join(["keypoints", *before, *rest[-1:]])):
        own = own_folder(flags)
        folder = [] if own is None else ["--config-dir", str(own)]
        with redirect_stdout(answer):
            _hydra("keypoints", config, lambda _: None, [*folder, *arguments])
    printed = answer.getvalue()
    print(" ".join(_as_offered(printed.split())) if "query=" in arguments[-1] else printed.rstrip())


def _as_offered(words: Iterable[str]) -> Iterator[str]:
    """Yield the completions, without the folders ``shared``, which Hydra takes for groups."""
    for word in words:
        if "/shared" not in word:
            yield f"{word}=" if is_group(word) else word
