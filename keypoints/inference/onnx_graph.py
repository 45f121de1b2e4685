"""Checks of an ONNX file's network before it is loaded: a file from elsewhere may demand unlimited work.

onnxruntime evaluates constant nodes while it loads a network. A loop may never end there, and a few bytes may
describe a constant that fills the memory. So loops are refused. If the shapes of all tensors and the work of
all nodes can be inferred from the input's size, they bound memory and time. Any other network is first loaded
and run once in a separate process with limited memory and time. Imports onnx late, and neither torch nor
onnxruntime.
"""

import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from keypoints.errors import CheckpointError, one_line

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_MOST = 500_000_000
"""Largest number of values in all tensors of a network for one face; our largest network has 30 million."""
_MOST_WORK = 1_000_000_000_000
"""Largest number of multiplications for one face, about ten seconds; a ResNet50 needs 4e9 at 224 × 224."""

_FACES = 64
"""Largest batch; with it, the tensors and the work may grow by this factor at most."""

_SECONDS, _BYTES = 60, 8 * 2**30
"""Limits for loading and running a network whose work is unknown."""

_LINEAR = frozenset(
    {
        *("Abs", "Add", "And", "ArgMax", "ArgMin", "BatchNormalization", "Cast", "Ceil", "Clip"),
        *("Concat", "Constant", "ConstantOfShape", "Cos", "DepthToSpace", "DequantizeLinear"),
        *("Div", "Dropout", "DynamicQuantizeLinear", "Elu", "Equal", "Erf", "Exp", "Expand"),
        *("Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "GlobalAveragePool"),
        *("GlobalMaxPool", "Greater", "GreaterOrEqual", "GroupNormalization", "HardSigmoid"),
        *("HardSwish", "Identity", "InstanceNormalization", "IsInf", "IsNaN", "LayerNormalization"),
        *("LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "Max", "Mean", "Min", "Mod"),
        *("Mul", "Neg", "Not", "Or", "Pad", "Pow", "PRelu", "QuantizeLinear", "Range"),
        *("Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "Round"),
        *("Selu", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax", "Softplus"),
        *("SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "Transpose"),
        *("Unsqueeze", "Where"),
    }
)
"""Operators whose work is to read their inputs and to write their outputs."""

_Shape = tuple[int, ...]


class _UnknownWorkError(ValueError):
    """Network whose size or work cannot be inferred from its input's size."""


class _Bounds(NamedTuple):
    """Size and work of a network."""

    numbers: int
    """Values in all its tensors."""
    work: int
    """Multiplications."""


def check_network(path: Path, contents: bytes) -> int:
    """Check that a network has no loops or branches, needs no other file, and is not too large to run.

    Args:
        path: path of the file, for messages.
        contents: bytes of the file.

    Returns:
        Largest number of faces in one batch of the network.

    Raises:
        CheckpointError: if the file is no ONNX file, its network is refused, or a weight is NaN.
        ImportError: if onnx is not installed.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(contents)
    except Exception as error:
        raise CheckpointError(f"{path}: truncated, damaged, or no ONNX file at all") from error
    graph = model.graph
    graph_types = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    branching = [
        node.op_type for node in graph.node if any(own.type in graph_types for own in node.attribute)
    ]
    if branching or model.functions:
        what = branching[0] if branching else model.functions[0].name
        raise CheckpointError(
            f"{path}: its network has loops, branches or functions ({what!r}), which may never end"
        )
    if any(own.data_location == onnx.TensorProto.EXTERNAL for own in graph.initializer):
        raise CheckpointError(f"{path}: its weights lie in another file; export it again as one file")
    try:
        nan_weights = _with_nan(graph)
        bounds = _bounds(model)
    except _UnknownWorkError as error:
        _try_in_a_process(path, contents, error)
        return 1
    except Exception as error:
        raise CheckpointError(f"{path}: its network cannot be used ({one_line(error)[:200]})") from error
    if nan_weights is not None:
        raise CheckpointError(
            f"{path}: its weights {nan_weights} hold NaN; the file is damaged, or was changed"
        )
    for needed, most, what in (
        (bounds.numbers, _MOST, "holds {:,} numbers"),
        (bounds.work, _MOST_WORK, "takes {:,} multiplications"),
    ):
        if needed > most:
            raise CheckpointError(
                f"{path}: its network {what.format(needed)} for one face, and {most:,} at most are allowed"
            )
    return max(1, min(_FACES, _MOST // max(1, bounds.numbers)))


_CHILD = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({bytes}, {bytes}))
except ImportError:
    pass
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.stdin.buffer.read(), options, providers=["CPUExecutionProvider"])
(images,) = session.get_inputs()
for faces in (1, 3):
    session.run(None, {{images.name: numpy.zeros([faces, *images.shape[1:]], numpy.float32)}})
"""


def _try_in_a_process(path: Path, contents: bytes, why: Exception) -> None:
    """Load a network and run it once, in a process with limited time and memory.

    Raises:
        CheckpointError: if it exceeds a limit, or fails.
    """
    script = _CHILD.format(bytes=_BYTES)
    try:
        subprocess.run(
            [sys.executable, "-c", script], input=contents, capture_output=True, timeout=_SECONDS, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise CheckpointError(
            f"{path}: its network cannot be used: {one_line(why)}, and it does not run within {_SECONDS} s "
            f"and {_BYTES >> 30} GB"
        ) from error


def _with_nan(graph: "GraphProto") -> str | None:
    """Return the name of the first weights that hold NaN; infinite weights may be intended."""
    from onnx import TensorProto
    from onnx.numpy_helper import to_array

    floating = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    for weights in graph.initializer:
        if weights.data_type in floating and np.isnan(to_array(weights)).any():
            return str(weights.name)
    return None


def _bounds(model: "ModelProto") -> _Bounds:
    """Return the size and work of a network for one face.

    Raises:
        _UnknownWorkError: if they cannot be inferred from the input's size.
    """
    graph = model.graph
    _sort(graph)
    del graph.value_info[:]  # the shapes that the file states may be wrong
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    one = _bounds_of(model, 1)
    if one.numbers > _MOST or one.work > _MOST_WORK:
        return one
    many = _bounds_of(model, _FACES)
    if many.numbers > _FACES * one.numbers or many.work > _FACES * one.work:
        raise _UnknownWorkError("its tensors grow faster than the number of faces")
    return one


def _bounds_of(model: "ModelProto", faces: int) -> _Bounds:
    graph = model.graph
    for value in graph.input:
        if (shape := value.type.tensor_type.shape).dim:
            shape.dim[0].dim_value = faces
    shapes = _tensor_shapes(model)
    made = [name for node in graph.node for name in node.output if name]
    given = sum(math.prod(shapes[weights.name]) for weights in graph.initializer)
    numbers = given + sum(math.prod(_shape_of(shapes, name)) for name in made)
    return _Bounds(numbers, sum(_work(node, shapes) for node in graph.node))


def _tensor_shapes(model: "ModelProto") -> dict[str, _Shape]:
    """Return the shapes of the tensors of a network, by name, as far as they can be inferred.

    Raises:
        ValueError: if a tensor has a negative side, or holds text.
    """
    from onnx import TensorProto
    from onnx.shape_inference import infer_shapes

    graph = infer_shapes(model, data_prop=True).graph
    shapes: dict[str, _Shape] = {weights.name: tuple(weights.dims) for weights in graph.initializer}
    texts = [weights.name for weights in graph.initializer if weights.data_type == TensorProto.STRING]
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.elem_type == TensorProto.STRING:
            texts.append(value.name)
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in kind.shape.dim):
            shapes[value.name] = tuple(side.dim_value for side in kind.shape.dim)
    if texts or any(side < 0 for own in shapes.values() for side in own):
        raise ValueError("it has tensors of text, or of negative sizes")
    return shapes


def _shape_of(shapes: Mapping[str, _Shape], name: str) -> _Shape:
    if name not in shapes:
        raise _UnknownWorkError(f"the size of its tensor {name!r} cannot be inferred")
    return shapes[name]


def _work(node: "NodeProto", shapes: Mapping[str, _Shape]) -> int:
    """Return the approximate number of multiplications of a node."""
    moved = sum(math.prod(_shape_of(shapes, name)) for name in (*node.input, *node.output) if name)
    made = math.prod(_shape_of(shapes, node.output[0]))
    if node.domain:
        raise _UnknownWorkError(f"the work of {node.domain}.{node.op_type} is not known")
    if node.op_type in _LINEAR:
        return moved
    if node.op_type in ("MaxPool", "AveragePool"):
        return moved + made * math.prod(_kernel(node))
    if node.op_type in ("Conv", "Gemm", "MatMul", "ConvTranspose"):
        first, second = (_shape_of(shapes, name) for name in node.input[:2])
        if node.op_type == "Conv":
            return moved + made * math.prod(second[1:])
        if node.op_type == "ConvTranspose":
            return moved + math.prod(first) * math.prod(second[1:])
        return moved + made * max(first[-2:])
    raise _UnknownWorkError(f"the work of {node.op_type} is not known")


def _kernel(node: "NodeProto") -> Iterator[int]:
    return (side for own in node.attribute if own.name == "kernel_shape" for side in own.ints)


def _sort(graph: "GraphProto") -> None:
    """Sort the nodes of a network so that each follows its inputs, as shape inference requires.

    Raises:
        CycleError: if the nodes form a cycle.
    """
    made_by = {name: place for place, node in enumerate(graph.node) for name in node.output}
    needs = {
        place: {made_by[name] for name in node.input if name in made_by}
        for place, node in enumerate(graph.node)
    }
    nodes = [graph.node[place] for place in TopologicalSorter(needs).static_order()]
    del graph.node[:]
    graph.node.extend(nodes)
