"""Checks of an ONNX file's network before it is loaded: a file from elsewhere may ask for any work.

onnxruntime computes what it can of a network as it loads it. A loop may never end there, and a constant of
some bytes in the file may take all memory. So loops are refused. Where the sizes of all parts and the work of
all nodes follow from the input's size, they bound memory and time. Any other network is first loaded and run
once in a process of its own, whose memory and time are limited. Imports onnx late, and neither torch nor
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
"""Numbers that all parts of a network may hold together for one face; the largest of ours hold 30 million."""
_MOST_WORK = 1_000_000_000_000
"""Multiplications for one face, some ten seconds; a ResNet50 does 4 thousand million at 224 × 224."""

_FACES = 64
"""A batch: with it the parts may grow by this factor and no more."""

_SECONDS, _BYTES = 60, 8 * 2**30
"""What loading a network of unknown work may take."""

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
"""Operators whose work is that of reading what goes in and writing what comes out."""

_SIDES = tuple[int, ...]


class _UnknownWorkError(ValueError):
    """A network whose size or work does not follow from its input's size."""


class _Bounds(NamedTuple):
    """What a network needs."""

    numbers: int
    """That all its parts hold."""
    work: int
    """Multiplications."""


def check_network(path: Path, contents: bytes) -> int:
    """See that a network has no loops or branches, keeps to its own file, and is not too large to run.

    Args:
        path: the file's, for messages.
        contents: its bytes.

    Returns:
        How many faces may go through the network together.

    Raises:
        CheckpointError: if it is no ONNX file, its work cannot be bounded, or a weight is NaN.
        ImportError: if onnx is not installed.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(contents)
    except Exception as error:
        raise CheckpointError(f"{path}: truncated, damaged, or no ONNX file at all") from error
    graph = model.graph
    of_graphs = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    branching = [node.op_type for node in graph.node if any(own.type in of_graphs for own in node.attribute)]
    if branching or model.functions:
        what = branching[0] if branching else model.functions[0].name
        raise CheckpointError(
            f"{path}: its network has loops, branches or functions ({what!r}), which may never end"
        )
    if any(own.data_location == onnx.TensorProto.EXTERNAL for own in graph.initializer):
        raise CheckpointError(f"{path}: its weights lie in another file; export it again as one file")
    try:
        without_numbers = _with_nan(graph)
        bounds = _bounds(model)
    except _UnknownWorkError as error:
        _try_in_a_process(path, contents, error)
        return 1
    except Exception as error:
        raise CheckpointError(f"{path}: its network cannot be used ({one_line(error)[:200]})") from error
    if without_numbers is not None:
        raise CheckpointError(
            f"{path}: its weights {without_numbers} hold NaN; it is damaged, or was changed"
        )
    for found, most, what in (
        (bounds.numbers, _MOST, "holds {:,} numbers"),
        (bounds.work, _MOST_WORK, "takes {:,} multiplications"),
    ):
        if found > most:
            raise CheckpointError(
                f"{path}: its network {what.format(found)} for one face, and {most:,} at most are allowed"
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
    """Load a network and run it once, in a process that may take a limited time and memory.

    Raises:
        CheckpointError: if it takes more, or fails.
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
    """Return the name of the first weights that hold NaN; infinity may mean something in a network."""
    from onnx import TensorProto
    from onnx.numpy_helper import to_array

    floating = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    for weights in graph.initializer:
        if weights.data_type in floating and np.isnan(to_array(weights)).any():
            return str(weights.name)
    return None


def _bounds(model: "ModelProto") -> _Bounds:
    """Return what a network needs for one face.

    Raises:
        _UnknownWorkError: if that does not follow from the size of the input.
    """
    graph = model.graph
    _sort(graph)
    del graph.value_info[:]  # what the file says of its parts may be untrue
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    one = _bounds_of(model, 1)
    if one.numbers > _MOST or one.work > _MOST_WORK:
        return one
    many = _bounds_of(model, _FACES)
    if many.numbers > _FACES * one.numbers or many.work > _FACES * one.work:
        raise _UnknownWorkError("its parts grow faster than the number of faces")
    return one


def _bounds_of(model: "ModelProto", faces: int) -> _Bounds:
    graph = model.graph
    for value in graph.input:
        if (shape := value.type.tensor_type.shape).dim:
            shape.dim[0].dim_value = faces
    sides = _sides_of_parts(model)
    made = [name for node in graph.node for name in node.output if name]
    given = sum(math.prod(sides[weights.name]) for weights in graph.initializer)
    numbers = given + sum(math.prod(_known(sides, name)) for name in made)
    return _Bounds(numbers, sum(_work(node, sides) for node in graph.node))


def _sides_of_parts(model: "ModelProto") -> dict[str, _SIDES]:
    """Return the sides of all parts of a network whose shape can be told.

    Raises:
        ValueError: if one has a negative side, or is made of text.
    """
    from onnx import TensorProto
    from onnx.shape_inference import infer_shapes

    graph = infer_shapes(model, data_prop=True).graph
    sides: dict[str, _SIDES] = {weights.name: tuple(weights.dims) for weights in graph.initializer}
    texts = [weights.name for weights in graph.initializer if weights.data_type == TensorProto.STRING]
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.elem_type == TensorProto.STRING:
            texts.append(value.name)
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in kind.shape.dim):
            sides[value.name] = tuple(side.dim_value for side in kind.shape.dim)
    if texts or any(side < 0 for own in sides.values() for side in own):
        raise ValueError("it has parts made of text, or of negative sizes")
    return sides


def _known(sides: Mapping[str, _SIDES], name: str) -> _SIDES:
    if name not in sides:
        raise _UnknownWorkError(f"the size of its part {name!r} cannot be told")
    return sides[name]


def _work(node: "NodeProto", sides: Mapping[str, _SIDES]) -> int:
    """Return how many multiplications a node takes, or about so many."""
    moved = sum(math.prod(_known(sides, name)) for name in (*node.input, *node.output) if name)
    made = math.prod(_known(sides, node.output[0]))
    if node.domain:
        raise _UnknownWorkError(f"the work of {node.domain}.{node.op_type} is not known")
    if node.op_type in _LINEAR:
        return moved
    if node.op_type in ("MaxPool", "AveragePool"):
        return moved + made * math.prod(_kernel(node))
    if node.op_type in ("Conv", "Gemm", "MatMul", "ConvTranspose"):
        first, second = (_known(sides, name) for name in node.input[:2])
        if node.op_type == "Conv":
            return moved + made * math.prod(second[1:])
        if node.op_type == "ConvTranspose":
            return moved + math.prod(first) * math.prod(second[1:])
        return moved + made * max(first[-2:])
    raise _UnknownWorkError(f"the work of {node.op_type} is not known")


def _kernel(node: "NodeProto") -> Iterator[int]:
    return (side for own in node.attribute if own.name == "kernel_shape" for side in own.ints)


def _sort(graph: "GraphProto") -> None:
    """Put the parts of a network in the order of their work, as shape inference needs them.

    Raises:
        CycleError: if there is none.
    """
    made_by = {name: place for place, node in enumerate(graph.node) for name in node.output}
    needs = {
        place: {made_by[name] for name in node.input if name in made_by}
        for place, node in enumerate(graph.node)
    }
    nodes = [graph.node[place] for place in TopologicalSorter(needs).static_order()]
    del graph.node[:]
    graph.node.extend(nodes)
