"""Web page to try a model: it takes a photo and shows the predicted faces, plotted and as a table.

No photo and no answer is written to disk: a photo is the body of a request, and its answer is the response.
The page loads nothing from other hosts and sends nothing to them. The web server is imported late.
"""

import logging
import os
import signal
import socket
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from keypoints.data.photo_facts import count_groups
from keypoints.demo.answer import answer, example_photos
from keypoints.errors import ConfigError, one_line
from keypoints.formatting import counted
from keypoints.inference.predictor import Predictor
from keypoints.inference.ready_models import find_model
from keypoints.inference.refinement import refine_of
from keypoints.reports.page import render
from keypoints.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

_STATIC = Path(__file__).with_name("static")
_TYPES = {".js": "text/javascript", ".css": "text/css"}

_DETECTED = "Faces are detected by {}."
_FULL_IMAGE = (
    "This model was trained on uncropped pictures: it expects one face in each photo, framed like its "
    "training data."
)
_NOTE = (
    "All points are predicted for every detection: hidden points too, and even if the detection is no face. "
    "A photo is never written to disk: the server holds it in memory until it is answered, and sends it "
    "nowhere else."
)


def demo(cfg: DictConfig) -> None:
    """Serve the page for ``cfg.checkpoint`` at ``cfg.host`` and ``cfg.port`` until it is interrupted.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
        ConfigError: if a value is invalid, the port is in use, or the web server or a library that the model
            needs is not installed.
    """
    _check_installed()
    allowed = allowed_hosts(cfg.allowed_hosts)
    path, run = find_model(cfg.checkpoint, cfg.which)
    predictor = Predictor(
        path,
        refine=refine_of(cfg.refine),
        detector=cfg.detector,
        trust=cfg.trust,
        provider=cfg.provider,
    )
    if predictor.crop.source == "box":
        _ = predictor.detector  # a missing detector is reported now, not at the first photo
    with _listen(cfg.host, cfg.port) as listening:
        app = _app(predictor, run, cfg, listening, allowed)
        place = f"http://{_in_url(cfg.host)}:{listening.getsockname()[1]}"
        log.info("the page is at %s; Ctrl-C ends it", place)
        if cfg.open:
            webbrowser.open(place)
        _serve(app, listening)


def _check_installed() -> None:
    """Import the web server to check that it is installed.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        import uvicorn  # noqa: F401

        import keypoints.demo.server  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the page needs {error.name}, which is not installed: in the checkout, "
            "pip install -c constraints.txt -e '.[demo]'"
        ) from error


def allowed_hosts(given: Any) -> list[str]:
    """Return the host names in ``allowed_hosts``; ``*`` is kept.

    Args:
        given: a list, one text with commas, or ``None``.

    Raises:
        ConfigError: if an entry is no host name.
    """
    from keypoints.demo.server import parse_host

    names: list[str] = []
    listed = given if isinstance(given, ListConfig | list) else [] if given is None else [given]
    for name in (part.strip() for text in listed for part in str(text).split(",")):
        host = parse_host(name) or parse_host(f"[{name}]")
        if host is None and name != "*":
            raise ConfigError(
                f"allowed_hosts: {name!r} is no host name; give names such as box.example.org, or * for any"
            )
        names.append(host.name if host else name)
    return names


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at ``host`` and ``port``.

    Raises:
        ConfigError: if the address is invalid or in use.
    """
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in str(host) else socket.AF_INET
        )
    except (OSError, OverflowError, TypeError) as error:
        why = os.strerror(number) if (number := getattr(error, "errno", 0) or 0) > 0 else one_line(error)
        raise ConfigError(
            f"cannot listen at {host}:{port} ({why}); give another host=… or port=…; port=0 takes a free one"
        ) from error


def _in_url(host: str) -> str:
    """Return a host as it is written in a URL."""
    return f"[{host}]" if ":" in host else host


def _app(
    predictor: Predictor,
    run: RunFolder | None,
    cfg: DictConfig,
    listening: socket.socket,
    allowed: Sequence[str],
) -> "ASGIApp":
    """Return the web application."""
    from keypoints.demo.server import Hosts, application

    def answer_photo(name: str, photo: bytes) -> str:
        return answer(predictor, name, photo, cfg.max_megapixels)

    return application(
        answer_photo,
        example=example_photos().__next__,
        files=page(predictor, described(predictor, run), round(cfg.max_megabytes * 1e6)),
        hosts=Hosts(cfg.host, listening.getsockname()[0], allowed),
        max_bytes=round(cfg.max_megabytes * 1e6),
    )


def _serve(app: "ASGIApp", listening: socket.socket) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",  # fixed like the next two: the same server whatever packages are installed
            http="h11",
            ws="none",
            lifespan="off",
            log_level="error",  # errors of a client are reported to the client only
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )

    def end(_number: int, _frame: object) -> None:
        server.should_exit = True

    hangup = getattr(signal, "SIGHUP", None)  # sent when the terminal closes; not on Windows
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:  # nohup ignores it
        signal.signal(hangup, end)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again after its shutdown
        server.run(sockets=[listening])
    log.info("the page is closed")


def described(predictor: Predictor, run: RunFolder | None) -> str:
    """Return a model's name, landmarks and training data on one line."""
    name = predictor.path.name if run is None else f"{run.name} ({predictor.path.name})"
    scheme = predictor.scheme
    known = predictor.trained_on
    groups = (
        []
        if known is None
        else [f"{counted(count_groups(known.groups), 'person or photo', 'persons or photos')}"]
    )
    faces = [*groups, *([known.data] if known is not None and known.data else [])]
    trained = f"trained on {' of '.join(faces)}" if faces else "the file does not name its training data"
    return f"{name} · {counted(len(scheme), 'landmark')}, {scheme.name} · {trained}"


def page(predictor: Predictor, about: str, max_bytes: int) -> dict[str, tuple[str, bytes]]:
    """Return the page's files: media type and contents by path.

    Args:
        predictor: the model.
        about: one-line description of the model.
        max_bytes: size above which the page refuses a file before sending it, in bytes.
    """
    boxed = predictor.crop.source == "box"
    notes = [_DETECTED.format(predictor.detector.limits) if boxed else _FULL_IMAGE, _NOTE]
    html = render("demo.html", about=about, notes=notes, max_bytes=max_bytes)
    files = {
        f"/{path.name}": (_TYPES[path.suffix], path.read_bytes())
        for path in _STATIC.iterdir()
        if path.suffix in _TYPES
    }
    return {"/": ("text/html", html.encode()), **files}
