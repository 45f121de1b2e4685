"""The page to try a model: a photo in; its faces, drawn and as a table, out. Gradio is imported late.

Nothing is kept. A photo lies in a folder of the server's own until it has been answered, and the answer is
written nowhere: it travels within the page. Nothing is fetched from, or sent to, any other place.
"""

import base64
import html
import io
import logging
import os
import signal
import socket
import webbrowser
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from PIL import Image

from keypoints.configuration import check_positive
from keypoints.datasets.photos import Photo
from keypoints.datasets.predictions import PredictedFace, PredictedPhoto, PredictionFiles
from keypoints.drawing import draw_predictions
from keypoints.errors import ConfigError, KeypointsError, one_line
from keypoints.predictor import Predictor
from keypoints.reports.page import render, shown
from keypoints.runs import RunFolder, find_checkpoint

if TYPE_CHECKING:
    from gradio import Blocks

log = logging.getLogger(__name__)

_LEFT_BEHIND = (60, 600)
"""Seconds: how often photos are looked for that nobody asked about, and how old those are."""

_NOTES = {
    "box": "Faces are found by dlib's frontal detector: from about 40 pixels, not those turned far away.",
    "image": "This model was trained on whole pictures: it takes each photo as one face, and is at home with "
    "photos framed like those that trained it.",
}
_NOTE = (
    "Every face gets all its points, hidden ones too, and so does what is no face. A photo is deleted once "
    "it has been answered; nothing of it is kept, and nothing is sent anywhere else."
)
_ORIGINS = {"given": "given", "detected": "detector", "image": "whole photo"}


def demo(cfg: DictConfig) -> None:
    """Serve the page for ``cfg.checkpoint`` on ``cfg.host``, ``cfg.port`` until it is interrupted.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
        ConfigError: if a value cannot be used, the port is taken, or gradio or what the model needs is not
            installed.
    """
    check_positive(cfg, "max_megabytes", "max_megapixels")
    path, run = find_checkpoint(cfg.checkpoint, cfg.which)
    predictor = Predictor(path)
    if predictor.crop.source == "box":
        _ = predictor.detector  # if there is none, it is said now
    with _listen(cfg.host, cfg.port) as listening, TemporaryDirectory(prefix="keypoints-") as folder:
        app = _app(predictor, run, cfg, Path(folder).resolve())
        place = f"http://{_written(cfg.host)}:{listening.getsockname()[1]}"
        log.info("the page is at %s; Ctrl-C ends it", place)
        if cfg.open:
            webbrowser.open(place)
        _serve(app, listening)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: if it cannot.
    """
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in str(host) else socket.AF_INET
        )
    except (OSError, OverflowError, TypeError) as error:
        why = os.strerror(number) if (number := getattr(error, "errno", 0) or 0) > 0 else one_line(error)
        raise ConfigError(
            f"cannot listen at {host}:{port} ({why}); name another host=… or port=…, 0 for any that is free"
        ) from error


def _written(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def _app(predictor: Predictor, run: RunFolder | None, cfg: DictConfig, folder: Path) -> Any:
    """The web application; what is uploaded lies in ``folder``.

    Raises:
        ConfigError: if gradio is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import, or it would call home
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        import gradio
        from fastapi import FastAPI
    except ImportError as error:
        raise ConfigError(
            f"the page needs {error.name}, which is not installed: in the checkout, "
            "pip install -c constraints.txt '.[demo]'"
        ) from error
    return gradio.mount_gradio_app(
        FastAPI(openapi_url=None),
        page(predictor, described(predictor, run), folder, cfg.max_megapixels),
        path="/",
        max_file_size=round(cfg.max_megabytes * 1e6),
        footer_links=[],
        run_history=False,  # it would keep answers in the browser
        ssr_mode=False,
        mcp_server=False,
        show_error=False,
        theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
    )


def _serve(app: Any, listening: socket.socket) -> None:
    import uvicorn

    # Both signals end it in order, or photos that are being answered would stay.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended in order, or not
        server.run(sockets=[listening])
    log.info("the page is closed")


def described(predictor: Predictor, run: RunFolder | None) -> str:
    """A model's name, its landmarks, and what it was trained on, on one line."""
    name = predictor.path.name if run is None else f"{run.name} ({predictor.path.name})"
    scheme = predictor.scheme
    groups = [] if predictor.groups is None else [f"{predictor.groups} persons or photos"]
    data = run and (run.setting("data.train") or run.setting("data.root"))
    faces = [*groups, *([Path(str(data)).name] if data else [])]
    trained = f"trained on {' of '.join(faces)}" if faces else "the file does not say what it was trained on"
    return f"{name} · {len(scheme)} landmark{'s' * (len(scheme) > 1)}, {scheme.name} · {trained}"


def page(predictor: Predictor, about: str, folder: Path, megapixels: float) -> "Blocks":
    """The page.

    Args:
        predictor: the model.
        about: it, in a line.
        folder: where uploaded photos lie; nothing outside is opened.
        megapixels: larger photos are refused.
    """
    import gradio

    def answered(uploaded: dict[str, Any] | None) -> tuple[None, str]:
        return None, answer(predictor, uploaded, folder, megapixels)

    blocks = gradio.Blocks(title="keypoints", analytics_enabled=False, delete_cache=_LEFT_BEHIND)
    with blocks:
        gradio.Markdown(f"# keypoints\n{html.escape(about)}")
        with gradio.Row():
            with gradio.Column(scale=2, min_width=300):
                photo = gradio.Image(
                    label="Photo",
                    sources=["upload", "webcam", "clipboard"],
                    webcam_options=gradio.WebcamOptions(mirror=False),
                    height=300,
                )
            with gradio.Column(scale=3, min_width=300):
                result = gradio.HTML(render("demo.html"), apply_default_css=False)
        gradio.Markdown(f"{_NOTES[predictor.crop.source]} {_NOTE}")
        # Not Gradio's own decoding: photos are read as everywhere else. So the path is checked here.
        photo.input(
            answered,
            photo,
            [photo, result],
            preprocess=False,
            concurrency_limit=1,
            show_progress_on=result,
            api_visibility="private",
        )
    return blocks


def answer(predictor: Predictor, uploaded: dict[str, Any] | None, folder: Path, megapixels: float) -> str:
    """What the page shows of an uploaded photo, in HTML; the file is deleted.

    Args:
        predictor: the model.
        uploaded: the file's ``path``, as the browser says, and its ``orig_name``.
        folder: the one place where it may lie.
        megapixels: as of :func:`page`.
    """
    uploaded = uploaded or {}
    file, name = Path(str(uploaded.get("path"))).resolve(), str(uploaded.get("orig_name") or "photo")
    if not file.is_relative_to(folder) or not file.is_file():
        return render("demo.html", note=f"{name}: is not here any more; give it once more")
    try:
        pixels = Photo(file, megapixels).decode(3)
        faces = predictor.finish(predictor.prepare(pixels))
    except (KeypointsError, ValueError) as error:
        return render("demo.html", note=f"{name}: {str(error).removeprefix(f'{file}: ')}")
    finally:
        file.unlink(missing_ok=True)
    drawn = draw_predictions(pixels, [(face.box, face.points) for face in faces], predictor.scheme.skeleton)
    picture, table = io.BytesIO(), io.StringIO()
    Image.fromarray(drawn).save(picture, "JPEG", quality=92, subsampling=0)  # thin lines keep their colour
    photo = PredictedPhoto(name, (pixels.shape[1], pixels.shape[0]), faces, [])
    PredictionFiles(table, io.StringIO(), predictor.scheme).add(photo)
    return render(
        "demo.html",
        note=None if faces else f"{name}: no face was found",
        name=Path(name).stem,
        picture=base64.b64encode(picture.getvalue()).decode(),
        table=base64.b64encode(table.getvalue().encode("utf-8", "surrogateescape")).decode(),
        rows=[_row(number, face) for number, face in enumerate(faces)],
    )


def _row(number: int, face: PredictedFace) -> dict[str, str | int]:
    """A face for people: all but its points."""
    box = face.box
    row: dict[str, str | int] = {
        "face": number,
        "box": f"{box.width:.0f} × {box.height:.0f} at {box.left:.0f}, {box.top:.0f}",
        "from": _ORIGINS[face.origin],
    }
    if face.score is not None:
        row["score"] = shown(face.score)
    if face.confidence is not None:
        row["confidence"] = f"{face.confidence.mean():.0%}"
    return row
