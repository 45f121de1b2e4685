"""Prediction of clips: frame by frame, with one track a face. Imports torch only for a checkpoint."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from keypoints.crop import box_from_points
from keypoints.drawing import draw_predictions
from keypoints.errors import ConfigError, DataError
from keypoints.files import replaced
from keypoints.geometry import Box, ByteArray
from keypoints.inference.one_euro import OneEuro, OneEuroFilter
from keypoints.inference.overlays import overlay_path
from keypoints.inference.prediction_files import Moment, PredictedFace, PredictedPhoto, PredictionFiles
from keypoints.inference.predictor import LEAST_SIDE, Predictor
from keypoints.inference.tracking import Track, Tracker
from keypoints.inference.video import ClipWriter, open_clip


class ClipSettings(NamedTuple):
    """Settings of the prediction of clips."""

    detect_every: float = 0.25
    """Seconds between two detections; in the frames between, a face's last points give its box."""
    smooth: OneEuro | None = None
    """Smoothing of the points; ``None`` for none."""


class PredictedClip(NamedTuple):
    """Counts and problems of a predicted clip."""

    name: str
    frames: int
    tracks: int
    unsure: int
    """Number of frames with a face of low confidence."""
    problems: list[str]
    """Reasons why frames or faces are missing: lines that name the clip."""


class FaceFollower:
    """Predictor of the faces of successive frames.

    Detection takes twice as long as the network for one face. So a face's last points give its next box.
    Faces are detected in the first frame, every ``detect_every`` seconds, and when the confidence of a face
    is low; such a face is given up unless it is detected. On clips of single moving faces with 25 frames a
    second this takes 28 ms a frame in place of 78, with the same NME. For a model whose file does not store
    how confident it usually is, faces are detected in every frame.

    Args:
        predictor: the model.
        settings: settings of the clip.
    """

    def __init__(self, predictor: Predictor, settings: ClipSettings) -> None:
        self._predictor = predictor
        self._settings = settings
        self._tracker = Tracker()
        self._filters: dict[int, OneEuroFilter] = {}
        self._detected = -settings.detect_every
        self._on_boxes = predictor.crop.source == "box" and len(predictor.scheme) > 1
        stored = predictor.mean_shape is not None and predictor.confidence_calibration is not None
        self._follows = self._on_boxes and stored

    @property
    def tracks(self) -> int:
        """Number of tracks so far."""
        return self._tracker.count

    def __call__(self, pixels: ByteArray, time: float) -> list[PredictedFace]:
        """Predict the faces of the next frame.

        Args:
            pixels: (H, W, 3) RGB.
            time: time in seconds, later than that of the last frame.

        Returns:
            The faces with their tracks, by track.
        """
        found = self._followed(pixels) if self._follows else []
        lost = not self._follows or len(found) < len(self._tracker.visible)
        if lost or time - self._detected >= self._settings.detect_every:
            self._detected = time
            found += self._detect(pixels, time, {owner.number for owner, _ in found if owner is not None})
        owners, boxes = [owner for owner, _ in found], [self._box_of(face) for _, face in found]
        kept = self._tracker.distinct(owners, boxes, time)
        tracks = self._tracker.update([owners[at] for at in kept], [boxes[at] for at in kept], time)
        faces = [self._finished(found[at][1], track) for at, track in zip(kept, tracks, strict=True)]
        self._filters = {
            number: own for number, own in self._filters.items() if number in self._tracker.remembered
        }
        return sorted(faces, key=lambda face: face.track or 0)

    def _followed(self, pixels: ByteArray) -> list[tuple[Track | None, PredictedFace]]:
        """Predict the faces of the last frame in the boxes of their last points; unless they are in doubt."""
        tracks, prepared = [], []
        for track in self._tracker.visible:
            with suppress(ValueError):  # the face has left the picture
                prepared += self._predictor.prepare(pixels, [track.box])
                tracks.append(track)
        faces = [face._replace(origin="tracked") for face in self._predictor.finish(prepared)]
        return [(track, face) for track, face in zip(tracks, faces, strict=True) if not face.note]

    def _detect(
        self, pixels: ByteArray, time: float, followed: set[int]
    ) -> list[tuple[Track | None, PredictedFace]]:
        """Detect faces, and predict those that are not followed already."""
        prepared = []
        with suppress(ValueError):  # a detected box lies outside the picture
            prepared = self._predictor.prepare(pixels)
        owners = self._tracker.owners([face.box for face in prepared], time)
        fresh = [at for at, owner in enumerate(owners) if owner is None or owner.number not in followed]
        faces = self._predictor.finish([prepared[at] for at in fresh])
        return [(owners[at], face) for at, face in zip(fresh, faces, strict=True)]

    def _box_of(self, face: PredictedFace) -> Box:
        """Return the box of a face's points, as training boxes are placed; else the box of the prediction."""
        if self._on_boxes and self._predictor.mean_shape is not None:
            with suppress(ValueError):  # all points are equal
                return box_from_points(face.points, self._predictor.mean_shape, self._predictor.crop)
        return face.box

    def _finished(self, face: PredictedFace, track: Track) -> PredictedFace:
        """Return a face with its track and smoothed points."""
        face = face._replace(track=track.number, view=None)
        if self._settings.smooth is None:
            return face
        smooth = self._filters.setdefault(track.number, OneEuroFilter(self._settings.smooth))
        return face._replace(points=smooth(face.points, track.time, track.side))


def predict_clip(
    predictor: Predictor,
    path: Path,
    name: str,
    settings: ClipSettings,
    files: PredictionFiles,
    folder: Path,
    progress: Callable[[int, int | None], object],
) -> PredictedClip:
    """Predict a clip and write its rows and its annotated copy.

    Args:
        predictor: the model.
        path: the clip.
        name: its name in the files.
        settings: settings of the clip.
        files: table and document of the results.
        folder: folder of the results, for the annotated copy; a clip without a face gets none.
        progress: function that is called after each frame with the number of frames, and of all frames or
            ``None``.

    Returns:
        The counts, and problems of a clip that cannot be read, breaks off or shows no face.

    Raises:
        CheckpointError: if a prediction is not finite.
        OSError: if a result cannot be written.
    """
    follower = FaceFollower(predictor, settings)
    frames, unsure, size = 0, 0, None
    problems: list[str] = []
    try:
        with (
            open_clip(path) as clip,
            replaced(overlay_path(folder, name, ".mp4")) as copy,
            ClipWriter(copy, clip.rate) as video,
        ):
            for frame in clip.frames():
                size = _checked_size(path, frame.pixels)
                faces = follower(frame.pixels, frame.time)
                files.add(PredictedPhoto(name, size, faces, [], Moment(frame.number, frame.time)))
                video.add(_drawn(frame.pixels, faces, predictor), frame.time)
                frames, unsure = frames + 1, unsure + any(face.note for face in faces)
                progress(frames, clip.expected_frames)
            problems += clip.problems
            _check_faces(path, frames, follower.tracks)
    except DataError as error:
        problems.append(str(error))
    except ConfigError as error:  # without PyAV, the photos among clips are still predicted
        problems.append(f"{path}: {error}")
    if problems:
        files.add(PredictedPhoto(name, size, [], problems))
    return PredictedClip(name, frames, follower.tracks, unsure, problems)


def _check_faces(path: Path, frames: int, tracks: int) -> None:
    """Check that a clip that was read has frames with faces: else no copy of it is kept.

    Raises:
        DataError: if it has none.
    """
    if not frames:
        raise DataError(f"{path}: has no frame")
    if not tracks:
        raise DataError(f"{path}: no face was found")


def _checked_size(path: Path, pixels: ByteArray) -> tuple[int, int]:
    """Return the width and height of a frame, in pixels.

    Raises:
        DataError: if it is too small to show a face.
    """
    height, width = pixels.shape[:2]
    if min(width, height) < LEAST_SIDE:
        raise DataError(f"{path}: its frames of {width} × {height} pixels are too small to show a face")
    return width, height


def _drawn(pixels: ByteArray, faces: list[PredictedFace], predictor: Predictor) -> ByteArray:
    return draw_predictions(
        pixels,
        [(face.box, face.points) for face in faces],
        predictor.scheme.skeleton,
        [str(face.track) for face in faces],
    )
