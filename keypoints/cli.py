"""``keypoints VERB [hydra overrides]``.

Heavy libraries are imported only once a verb's work begins, so help and mistakes answer at once.
"""

import argparse
import errno
import io
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
from keypoints.config.overrides import first_of_sweep, varied_by_hand
from keypoints.config.quoting import check_commas, is_given, is_multirun, own_folder, quote_paths
from keypoints.config.registry import conf_dir, is_group, schema_of, setting_named
from keypoints.distributed import is_recorded, run_to_join
from keypoints.errors import ConfigError, KeypointsError, one_line, printable, shortened
from keypoints.files import OF_DISKS
from keypoints.logs import PlainRecord
from keypoints.process import configure_libraries
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

_SHOWING = re.compile(
    r"-h|--help|--hydra-help|--version|(-c|--cfg|-i|--info)(=.*)?|-c(job|hydra|all)|-i[a-z-]+"
)
"""Hydra's flags that show something, and run nothing."""

_MISTYPED = re.compile(
    r"(?P<where>.*?)\w*Error raised .*?'(?P<value>.*?)' .*?full_key: (?P<key>\S+)", re.DOTALL
)
"""What Hydra says of a value in a file that is not of its setting's type."""

_HELP = ("-h", "--help")

_OVERRIDE = re.compile(r"\+{0,2}[A-Za-z_][\w.@/$-]*=|~")
"""The beginning of an override; whatever else stands for itself."""

_MODES = ("-m", "--multirun", "-r", "--run")
"""Hydra's flags that say how jobs are run, and that it takes beside none that shows something."""

_COMPLETION = ("-sc", "--shell-completion")

_RERUN = "--experimental-rerun"
"""Hydra's flag that reads a pickle, which no run of ours has; Hydra takes its beginnings for it too."""

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of a folder in which nothing can be made."""

NO_READER = 128 + 13
"""The exit status where the output's reader has gone, as a shell has it of SIGPIPE."""

Job = Callable[[DictConfig], float | None]
"""What Hydra calls for each job; it gives a search's objective."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with status 0 only if all went well."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.setLogRecordFactory(PlainRecord)  # of every logger: names of files are in what they say
    logging.raiseExceptions = False  # a log that cannot be written is no traceback, a hundred times over
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
                with _alone_in_sweep(rest):
                    _train(rest)
            else:
                _work(verb, verb.run, rest)


def _with_key(verb: Verb, arguments: list[str]) -> list[str]:
    """Return the arguments with the key of the first one, if it is a word without one.

    Raises:
        ConfigError: if another argument is neither a flag nor key=value.
    """
    flags, rest = split_flags(arguments)
    if verb.positional and rest and not _OVERRIDE.match(rest[0]):
        rest[0] = f"{verb.positional}={rest[0]}"
    elif verb.positional and rest and os.path.lexists(rest[0]):
        raise ConfigError(f"{rest[0]}: is a path; say {verb.positional}={rest[0]}")
    for argument in rest:
        if not _OVERRIDE.match(argument):
            takes = (
                f"takes one word, its {verb.positional}, right behind it" if verb.positional else "takes none"
            )
            raise ConfigError(
                f"{shortened(argument, 120)}: has no key; keypoints {verb.name} {takes}, and all else is "
                f"key=value: `keypoints {verb.name} --help` lists the keys"
            )
    return [*flags, *rest]


def _help(verb: Verb, arguments: Sequence[str]) -> None:
    """Show what a verb takes: with the options that the arguments choose, where it has groups.

    Raises:
        ConfigError: if the arguments cannot be composed.
    """
    flags, rest = split_flags(arguments)
    overrides = as_typed(verb.config, [*flags, *rest])[len(flags) :]
    own = own_folder(flags)
    cfg = preview(verb.config, [flag for flag in flags if flag not in _HELP], quote_paths(overrides))
    if cfg is None:  # Hydra says why
        kept = [flag for flag in flags if flag not in (*_HELP, *_MODES)]
        _hydra(f"keypoints {verb.name}", verb.config, lambda _: None, [*kept, "--cfg", "job", *rest])
        return
    show_help(verb, cfg, own)


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """End quietly where whoever read the output wants no more, as ``head`` does.

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
        os.dup2(nowhere, sys.stdout.fileno())  # what is left to be written at the end
        sys.exit(NO_READER)


def _has_no_reader() -> bool:
    """Return whether the standard output is a pipe that nobody reads; another may have broken."""
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


def _check_flags(arguments: Iterable[str]) -> None:
    """See that none of Hydra's flags is given that is not supported.

    Raises:
        ConfigError: if one is.
    """
    names = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
    if any(len(name) > len("--") and _RERUN.startswith(name) for name in names):
        raise ConfigError(
            f"{_RERUN}: is not supported; go on with a run or a sweep: keypoints train resume=<folder>"
        )


def _work(verb: Verb, work: Callable[[DictConfig], None], arguments: list[str]) -> None:
    """Do the work of a verb that makes no run."""
    flags, overrides = split_flags(arguments)
    if _shows(flags):
        flags, overrides = _to_show(verb.config, flags, overrides)
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> None:
        try:
            check_values(verb.config, cfg)
            _check_given(verb, cfg, own_folder(flags))
            work(cfg)
        except Exception as error:  # raised below, past Hydra's own report of it
            place = schema_of(verb.config).settings.get("output")
            if place is not None and place.place and _is_of_output(error, cfg.get("output")):
                error.add_note(f"name another {place.place}: output=<{place.place}>")
            failures.append(error)

    _hydra(f"keypoints {verb.name}", verb.config, job, [*flags, *overrides])
    if failures:
        raise failures[0]


def _check_given(verb: Verb, cfg: DictConfig, own: Path | None) -> None:
    """See that no value is missing: of a verb that may need no training's, none of its own.

    Raises:
        ConfigError: if one is.
    """
    if verb.name == "bench":
        return
    check_complete(cfg, own, verb.config)


def _is_of_output(error: Exception, output: object) -> bool:
    """Return whether an error says that the output of a verb cannot be made or written to.

    Args:
        error: what the verb raised, perhaps because of an OSError.
        output: the configuration's; ``None`` where the verb chooses the place.
    """
    cause = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(cause, OSError) or not isinstance(cause.filename, str):
        return False
    place = Path(cause.filename).absolute()
    if output is None:
        return cause.errno in _NOT_WRITABLE and not os.path.lexists(place)
    named = Path(str(output)).absolute()
    return named in (place, *place.parents) or place in named.parents


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


def _train(arguments: list[str]) -> None:
    """One run or a multirun. A failed job does not stop the others."""
    if (folder := run_to_join()) is not None:
        from keypoints.commands.train import take_part

        configure_libraries()
        take_part(folder, recorded=is_recorded())
        return
    from keypoints.runs.sweep_folder import RememberSweep

    resumed = any(argument.startswith("resume=") for argument in arguments)
    flags, overrides = split_flags(_resumed(arguments) if resumed else arguments)
    if _shows(flags):
        flags, overrides = _to_show("train", flags, overrides)
    arguments = [*flags, *overrides]
    command, launcher, failures = list(sys.argv), os.getpid(), list[Exception]()

    def job(cfg: DictConfig) -> float | None:
        end_with(launcher)
        try:
            with _arguments(command):  # Lightning starts further processes with it
                return jobs.job(cfg, resumed=resumed)
        except Exception as error:  # the others go on; its status.json says so too
            failures.append(error)
            return None

    RememberSweep.forget()
    if not _shows(flags):
        extra = [f"hydra.job.config.override_dirname.exclude_keys={_constant_keys(arguments)}"]
        output = is_given(arguments, "output")
        place = None if output is None else f"hydra.sweep.dir={output}"
        arguments = [*arguments, *filter(None, [*extra, place if resumed else _prepared(flags, overrides)])]
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
        if failed and isinstance(error, ValueError):  # as Optuna's, where no run gave it a result
            raise ConfigError(f"{failed} of the sweep's runs did not finish ({one_line(error)})") from error
        raise
    if RememberSweep.started is not None and (failed := jobs.end_sweep(RememberSweep.started, stopped=False)):
        raise ConfigError(f"{failed} of the sweep's runs did not finish")
    if failures:
        raise failures[0]


@contextmanager
def _alone_in_sweep(arguments: Sequence[str]) -> Iterator[None]:
    """Keep others from training the sweep whose folder the command names; a run's status does it for runs."""
    resumed, output = is_given(arguments, "resume"), is_given(arguments, "output")
    folder = (resumed or output or "").strip("'\"")
    sweeps = is_multirun(arguments)
    if not folder or "${" in folder or run_to_join() is not None or _shows(arguments):
        yield
        return
    from keypoints.files import alone
    from keypoints.runs.run_folder import is_sweep

    with ExitStack() as stack:
        if is_sweep(Path(folder)) if resumed else sweeps:
            with _one_line_of(Path(folder)):
                stack.enter_context(alone(Path(folder)))
        yield


def _shows(arguments: Iterable[str]) -> bool:
    """Return whether something is only to be shown, and nothing run."""
    return any(_SHOWING.fullmatch(argument) for argument in arguments)


def _to_show(config: str, flags: Sequence[str], overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return flags and overrides as Hydra takes them to show something; tell which values are missing.

    Of a multirun the first run is shown: Hydra shows no other.

    Raises:
        ConfigError: if more than one thing is to be shown.
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
        told = missing(cfg, own_folder(flags))
        if told is not None and "--resolve" in flags:
            raise ConfigError(told)
        if told is not None:
            print(printable(f"to be given yet: {told}"), file=sys.stderr)
    return kept, shown


def _prepared(flags: Sequence[str], overrides: Sequence[str]) -> str | None:
    """See that a training can begin: all values are given, and its folder can be written to.

    Args:
        flags: Hydra's, with their values.
        overrides: of the command, as typed.

    Returns:
        The override of Hydra's that names the folder of the run or the sweep. The folder is fixed here: its
        name may hold the time, and values that differ between a sweep's runs.

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
        return place  # Hydra says what is wrong
    sweeps = is_multirun([*flags, *overrides]) or cfg.hydra.mode == RunMode.MULTIRUN
    check_values("train", cfg)
    check_complete(cfg, own_folder(flags))
    if sweeps:
        check_swept_files(cfg, typed)
    try:
        folder = str(cfg.hydra.sweep.dir if sweeps else cfg.hydra.run.dir)
    except OmegaConfBaseException:
        return place
    _check_folder(Path(folder), sweep=sweeps)
    return f"hydra.{'sweep' if sweeps else 'run'}.dir={folder}"


def _check_folder(folder: Path, *, sweep: bool) -> None:
    """See that a run's or a sweep's folder can be made and written to.

    Raises:
        ConfigError: if it cannot, or holds a sweep already.
    """
    from keypoints.runs.sweep_folder import SweepFolder

    absent = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    with _one_line_of(folder):
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
            f"{folder}: holds a sweep already; go on with it: "
            f"keypoints train {shlex.quote(f'resume={folder}')}, or name another folder: output=<folder>"
        )


@contextmanager
def _one_line_of(folder: Path) -> Iterator[None]:
    """Let an error in making or writing ``folder`` be a ConfigError."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{shortened(str(folder), 120)}: cannot be made or written to ({why}); name another folder: "
            "output=<folder>"
        ) from error


def _constant_keys(arguments: Sequence[str]) -> str:
    """The keys that are the same in all jobs, for Hydra: a job is named by the others."""
    return "[" + ",".join(f"'{key}'" for key in varied_by_hand(arguments)[1]) + "]"


def _resumed(arguments: Sequence[str]) -> list[str]:
    """Return the command that goes on with the run or the sweep of ``resume=<folder>``, in that folder.

    Raises:
        ConfigError: if something is given that would change what the run or the sweep is.
    """
    from keypoints.runs.run_folder import RunFolder
    from keypoints.runs.sweep_folder import SweepFolder

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
    if folder.is_file():
        from keypoints.file_kinds import describe_file

        kind = (describe_file(folder) or "a file").partition(";")[0]
        raise ConfigError(f"{folder}: is {kind}; what is resumed is the folder of a run or a sweep")
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

    def configured(cfg: DictConfig) -> float | None:
        configure_libraries()
        return job(cfg)

    with _arguments([program, *quote_paths(as_typed(config, arguments))]):
        hydra.main(config_path=str(conf_dir()), config_name=config, version_base="1.3")(configured)()


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


def _is_missing(error: BaseException | None) -> bool:
    """Return whether the error is, or was caused by, a value that has to be given."""
    if error is None or isinstance(error, MissingMandatoryValue | MissingValueError):
        return error is not None
    return _is_missing(error.__cause__ or error.__context__)


def _message(error: Exception) -> str:
    """The error on one line; of Hydra's, what is of use."""
    text = "; ".join([str(error), *getattr(error, "__notes__", ())])
    if isinstance(error, OmegaConfBaseException) and error.full_key and _is_missing(error):
        text = need(str(error.full_key))
    elif not isinstance(error, KeypointsError):
        text = _of_mistyped(text.partition("Config search path:")[0])
        cause = error.__cause__
        if cause is not None and str(cause) not in text:
            text = f"{text} ({str(cause).splitlines()[0]})"
        for choice, extra in EXTRAS.items():
            if f"Could not find 'hydra/{choice}'" in text:
                install = f"pip install -c constraints.txt -e '.[{extra}]'"
                text = f"hydra/{choice} is not installed: in the checkout, {install}"
    return one_line(Exception(text))


def _of_mistyped(text: str) -> str:
    """Return what a value has to be, where Hydra says that OmegaConf could not convert it; else the text."""
    found = _MISTYPED.match(text)
    setting = None if found is None else setting_named(found["key"])
    if found is None or setting is None:
        return text
    return f"{found['where'].strip()} {setting.key} is {setting}, not {found['value']!r}"


def _complete(arguments: Sequence[str]) -> None:
    """Answer the shell: verbs first, then Hydra's completion for the verb that was typed."""
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
    said = answer.getvalue()
    print(" ".join(_as_offered(said.split())) if "query=" in arguments[-1] else said.rstrip())


def _as_offered(words: Iterable[str]) -> Iterator[str]:
    """Yield what completion offers, without what options of a group share: Hydra takes it for a group."""
    for word in words:
        if "/shared" not in word:
            yield f"{word}=" if is_group(word) else word
