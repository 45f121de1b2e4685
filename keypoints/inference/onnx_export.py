"""Export of a checkpoint to one ONNX file, which is checked against the checkpoint's network."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from keypoints.crop import Crop, as_input
from keypoints.data.face import Face
from keypoints.data.photos import Photo, grey
from keypoints.data.readers.ibug300w import detector_box
from keypoints.data.readers.labelled import read_labelled
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.files import replaced, write_atomically
from keypoints.formatting import counted
from keypoints.geometry import ByteArray, FloatArray, pixels_to_ratio
from keypoints.inference.box_list import ListedPhoto
from keypoints.inference.model import TaskModel
from keypoints.inference.model_card import card_of, model_card
from keypoints.inference.onnx_model import CONFIDENCE, INPUT, OUTPUT, ExportedModel, metadata
from keypoints.inference.photo_inputs import find_photos
from keypoints.inference.predictor import Predictor
from keypoints.logs import log_some
from keypoints.runs.checkpoint_files import find_checkpoint
from keypoints.runs.status import command_of
from keypoints.synthetic.portrait import Head, Person, Pose, portrait
from keypoints.tasks.base import Task, load_task
from keypoints.tasks.metrics import normalized_mean_error

if TYPE_CHECKING:
    from onnx import ModelProto

log = logging.getLogger(__name__)

Images = npt.NDArray[np.float32]

PRECISIONS = ("float32", "fp16", "int8")

TOLERANCE = 1e-5
"""Largest difference of a float32 file's points, as a ratio: a thousandth of a pixel for 100 pixels."""

CONFIDENCE_TOLERANCE = 1e-3
"""Largest difference of its confidence, which is from 0 to 1."""

_MADE_UP = 6
_MOST_PHOTOS = 400
"""Largest number of photos for calibration and comparison; more photos are thinned out evenly."""
_WEIGHTS = ("Conv", "Gemm", "MatMul")


class Export(NamedTuple):
    """Result of an export."""

    path: Path
    precision: str
    megabytes: float
    input_size: tuple[int, int]
    """Width and height of the network's input."""
    crops: int
    """Number of crops on which file and checkpoint were compared."""
    mean_shift: float
    """Mean distance per point between file and checkpoint, in pixels of the input."""
    largest_shift: float
    """Largest distance of a point between file and checkpoint, in pixels of the input."""
    nme: tuple[float, float] | None
    """Normalised mean errors of checkpoint and file; ``None`` if the calibration photos have no landmarks."""
    card: Path
    """The model card, beside the file."""


def export(cfg: DictConfig) -> Export:
    """Write ``cfg.checkpoint`` to ``cfg.output`` as ONNX, if both predict the same, and its model card.

    The predictions are compared on half of the calibration photos' faces, or on made-up faces if there are no
    photos. If the photos are a list with landmarks, the errors of both are measured too.

    Raises:
        CheckpointError: if the checkpoint cannot be used, or the predictions of the file differ from its own.
        ConfigError: if a value cannot be used, or the extra ``export`` is not installed.
        DataError: if the calibration photos cannot be used.
    """
    output = Path(str(cfg.output))
    if output.suffix != ".onnx":
        raise ConfigError(f"output={output}: an exported model is a .onnx")
    if cfg.precision == "int8" and cfg.calibration is None:
        raise ConfigError(
            "int8 needs photos like those to predict, to measure the range of each activation: "
            "calibration=<folder, pattern or list>"
        )
    path, run = find_checkpoint(cfg.checkpoint, cfg.which)
    task = load_task(path, flip_test=cfg.flip_test, trust=cfg.trust)
    if cfg.calibration is None:
        calibration, compared, truth = [], made_up_crops(task.crop), None
    else:
        crops, points = _photo_crops(Predictor(task), str(cfg.calibration))
        calibration, compared = crops[0::2], crops[1::2]
        truth = None if points is None else np.stack(points[1::2])
    log.info("converting the network, and comparing its predictions with the checkpoint's")
    with _quiet():
        model = to_onnx(task)
        if cfg.precision == "fp16":
            model = _to_fp16(model)
        output.parent.mkdir(parents=True, exist_ok=True)
        with replaced(output) as temporary:
            if cfg.precision == "int8":
                model = _to_int8(model, as_input(calibration), temporary)
            known = task.trained_on
            kept = None if known is None else known.to_keep(None if run is None else run.data_name)
            support = None if known is None else known.support
            network = _strip_notes(model)
            about = metadata(
                task.scheme, task.crop, cfg.precision, support, kept, network, task.confidence_calibration
            )
            _write(model, about, temporary)
            wanted, found, confidence_shift = _compare(task, ExportedModel(temporary), as_input(compared))
            shifts = np.abs(found - wanted)
            if not np.isfinite(shifts).all():
                raise CheckpointError(
                    f"{output}: was not written: in {cfg.precision} the network gives no finite numbers"
                )
            if cfg.precision == "float32" and shifts.max() > TOLERANCE:
                raise CheckpointError(
                    f"{output}: was not written: it would differ from {path} by {shifts.max():.1e} of the "
                    f"input's side, more than {TOLERANCE:g}"
                )
            if cfg.precision == "float32" and confidence_shift > CONFIDENCE_TOLERANCE:
                raise CheckpointError(
                    f"{output}: was not written: its confidence would differ from that of {path} by "
                    f"{confidence_shift:.1e}, more than {CONFIDENCE_TOLERANCE:g}"
                )
    pixels = np.linalg.norm(shifts * task.crop.size, axis=-1)
    done = Export(
        path=output,
        precision=cfg.precision,
        megabytes=output.stat().st_size / 1e6,
        input_size=task.crop.size,
        crops=len(compared),
        mean_shift=float(pixels.mean()),
        largest_shift=float(pixels.max()),
        nme=None if truth is None else (_nme(task, wanted, truth), _nme(task, found, truth)),
        card=card_of(output),
    )
    known_model = TaskModel(task, None if run is None else run.data_name)
    command = None if run is None or not run.status_file.is_file() else command_of(run)
    write_atomically(done.card, model_card(output, known_model, _facts(task, done), command))
    return done


def _facts(task: Task, done: Export) -> dict[str, str]:
    """Return the facts of a model card that only the export knows."""
    facts = {
        "network": f"{type(getattr(task, 'net', task)).__name__}, "
        f"{counted(sum(each.numel() for each in task.parameters()), 'weight')}",
        "file": f"{done.precision}, {done.megabytes:.2f} MB",
        "difference from the checkpoint": f"{done.mean_shift:.2g} px of the input on average, "
        f"{done.largest_shift:.2g} px at most, on {counted(done.crops, 'crop')}",
    }
    if done.nme is not None:
        facts["NME of the checkpoint and of this file on these crops"] = (
            f"{100 * done.nme[0]:.3g} % and {100 * done.nme[1]:.3g} %"
        )
    return facts


def to_onnx(task: Task) -> "ModelProto":
    """Convert the network of ``task`` to ONNX, for batches of any size.

    Raises:
        ConfigError: if the extra ``export`` is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401 - checks the file, and makes fp16 and int8 files
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"exporting needs {error.name}, which is not installed: in the checkout, "
            "pip install -c constraints.txt -e '.[export]'"
        ) from error
    crop = task.crop
    images = torch.zeros(2, crop.channels, crop.height, crop.width)  # a batch size of 1 would be fixed
    with torch.inference_mode():
        outputs = [OUTPUT] if task.locate(images)[1] is None else [OUTPUT, CONFIDENCE]
    program = torch.onnx.export(
        _Locate(task).eval(),
        (images,),
        input_names=[INPUT],
        output_names=outputs,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


class _Locate(nn.Module):
    """Module whose forward pass is a task's prediction."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what :meth:`Task.locate` returns, without ``None``."""
        return tuple(given for given in self._task.locate(images) if given is not None)


def made_up_crops(crop: Crop) -> list[ByteArray]:
    """Return crops of synthetic faces, and as many of noise, which activates every part of a network."""
    crops = []
    random = np.random.default_rng(0)
    for _ in range(_MADE_UP):
        pose = Pose((320, 225), random.uniform(50, 75), random.normal(0, 15), roll=random.normal(0, 10))
        head = Head(Person.draw(random), pose)
        picture = portrait(head, random)
        box = detector_box(head.ibug68())
        crops.append(crop(grey(picture) if crop.channels == 1 else picture, box)[0])
        crops.append(random.integers(0, 256, (crop.height, crop.width, crop.channels), np.uint8))
    return crops


def _photo_crops(predictor: Predictor, named: str) -> tuple[list[ByteArray], list[FloatArray] | None]:
    """Crop the faces of the calibration photos, as for prediction.

    Returns:
        The crops; and the landmarks of each, (K, 2) ratios of the input, or ``None`` if ``named`` is not a
        list with the model's landmarks.
    """
    labelled = _labelled_faces(named, predictor)
    photos: Sequence[ListedPhoto] = [
        ListedPhoto(face.photo.path, () if face.box is None else (face.box,)) for face in labelled
    ] or find_photos(named).photos
    step = -(-len(photos) // _MOST_PHOTOS)
    crops, points, broken = [], [], list[str]()
    for place in range(0, len(photos), step):
        photo = photos[place]
        try:
            faces = predictor.prepare(Photo(photo.path).decode(3), photo.boxes or None)
        except (DataError, ValueError) as error:
            broken.append(str(error) if isinstance(error, DataError) else f"{photo.path}: {error}")
            continue
        crops += [face.crop for face in faces]
        if labelled:
            inputs = faces[0].affine(labelled[place].landmarks())
            points.append(pixels_to_ratio(inputs, predictor.crop.size))
    log_some(log, "left out", broken)
    if len(crops) < 2:
        why = f" ({broken[0]})" if broken else ""
        raise DataError(
            f"{named}: shows {counted(len(crops), 'face')}{why}; at least 2 are needed, to calibrate and "
            "to compare"
        )
    return crops, points or None


def _labelled_faces(named: str, predictor: Predictor) -> Sequence[Face]:
    """Return the faces of a list with the model's landmarks; none if their errors cannot be measured."""
    try:
        faces = read_labelled(Path(named), scheme=predictor.scheme).faces
    except DataError as error:  # no list, a damaged one, or one without the model's landmarks
        if Path(named).is_file():
            log.info("errors are not measured: %s", error)
        return []
    lacks_boxes = predictor.crop.source == "box" and any(face.box is None for face in faces)
    return [] if lacks_boxes or predictor.scheme.normalizing_points is None else faces


def _to_fp16(model: "ModelProto") -> "ModelProto":
    """Return the model with 16-bit weights and arithmetic; its input and outputs keep 32 bits."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    fp16: ModelProto = convert_float_to_float16(model, keep_io_types=True)
    return fp16


def _to_int8(model: "ModelProto", images: Images, scratch: Path) -> "ModelProto":
    """Return the model with 8-bit weights and activations, except the last layer, which locates the points.

    Args:
        model: model in float32.
        images: (N, C, H, W), for measuring the range of each activation.
        scratch: path of a file that may be overwritten.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self._left, None)
            return None if image is None else {INPUT: image[None]}

    last = [node.name for node in model.graph.node if node.op_type in _WEIGHTS][-1]
    quantize_static(
        model,
        str(scratch),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(_WEIGHTS),
        nodes_to_exclude=[last],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return onnx.load(scratch)


def _strip_notes(model: "ModelProto") -> bytes:
    """Remove the exporter's notes from a model; return its bytes, with which the exported file begins."""
    # The exporter notes the source file and line of each node, with paths of this machine.
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    del model.metadata_props[:]
    network: bytes = model.SerializeToString()
    return network


def _write(model: "ModelProto", about: dict[str, str], path: Path) -> None:
    import onnx

    onnx.helper.set_model_props(model, about)
    path.write_bytes(model.SerializeToString())


def _compare(task: Task, exported: ExportedModel, images: Images) -> tuple[FloatArray, FloatArray, float]:
    """Return the points of both, (N, K, 2) ratios each, and the largest difference of their confidence.

    The comparison uses batches of several sizes.
    """
    wanted, found, confidence_shift = [], [], 0.0
    for batch in _batches(images):
        with torch.inference_mode():
            own = task.locate(torch.from_numpy(batch))
        other = exported(batch)
        wanted.append(own.points.double().numpy())
        found.append(other.points)
        if own.confidence is not None and other.confidence is not None:
            confidence_shift = max(
                confidence_shift, float(np.abs(own.confidence.numpy() - other.confidence).max())
            )
    return np.concatenate(wanted), np.concatenate(found), confidence_shift


def _nme(task: Task, points: FloatArray, truth: FloatArray) -> float:
    """Return the normalised mean error of (N, K, 2) points, ratios of the input; no crop stretches a face."""
    found, true = (torch.from_numpy(own * task.crop.size) for own in (points, truth))
    sizes = torch.tensor(task.crop.size).expand(len(found), 2)
    return float(normalized_mean_error(found, true, sizes, "pair", task.scheme.normalizing_points).mean())


def _batches(images: Images) -> Iterator[Images]:
    yield images[:1]
    for start in range(1, len(images), 16):
        yield images[start : start + 16]


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the messages and warnings of the exporters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
