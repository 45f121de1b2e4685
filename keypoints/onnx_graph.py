"""Checks of an ONNX file's network before it is loaded: a file from elsewhere may ask for any work.

onnxruntime computes what it can of a network as it loads it. A loop may never end there, and a constant of
some bytes in the file may take all memory. Without loops the sizes of all parts follow from the input's, and
bound both the memory and the time that the network takes. Imports onnx late, and neither torch nor
onnxruntime.
"""

import math
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from keypoints.errors import CheckpointError, one_line

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorShapeProto

_MOST = 500_000_000
"""Numbers that all parts of a network may hold together for one face; the largest of ours hold 30 million."""


def check_network(path: Path, contents: bytes) -> None:
    """See that a network has no loops or branches, keeps to its own file, and is not too large to run.

    Args:
        path: the file's, for messages.
        contents: its bytes.

    Raises:
        CheckpointError: if it is no ONNX file, or its work cannot be bounded.
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
        numbers = _numbers(model)
    except Exception as error:
        raise CheckpointError(f"{path}: its network cannot be used ({one_line(error)[:200]})") from error
    if numbers > _MOST:
        raise CheckpointError(
            f"{path}: its network holds {numbers:,} numbers for one face, and {_MOST:,} at most are allowed"
        )


def _numbers(model: "ModelProto") -> int:
    """Return how many numbers all parts of a network hold for one face.

    Raises:
        ValueError: if the size of a part does not follow from the input's.
    """
    from onnx.shape_inference import infer_shapes

    graph = model.graph
    for value in graph.input:
        if (shape := value.type.tensor_type.shape).dim:
            shape.dim[0].dim_value = 1
    _sort(graph)
    del graph.value_info[:]  # what the file says of its parts may be untrue
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = infer_shapes(model, data_prop=True).graph
    shapes = {value.name: value.type.tensor_type.shape for value in (*inferred.value_info, *inferred.output)}
    made = [name for node in graph.node for name in node.output if name]
    given = sum(int(math.prod(weight.dims)) for weight in graph.initializer)
    return given + sum(_size(name, shapes.get(name)) for name in made)


def _size(name: str, shape: "TensorShapeProto | None") -> int:
    if shape is None or not all(side.HasField("dim_value") for side in shape.dim):
        raise ValueError(f"the size of its part {name!r} cannot be told")
    return int(math.prod(side.dim_value for side in shape.dim))


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
