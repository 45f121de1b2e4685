import numpy as np
import pytest

from keypoints.errors import CheckpointError
from keypoints.inference import onnx_graph
from keypoints.inference.onnx_graph import check_network
from keypoints.inference.onnx_model import ExportedModel, metadata
from keypoints.schemes import IBUG68
from tests.conftest import BOX_CROP

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra export)")


def written(path, *nodes, weights=(), functions=(), opsets=()):
    """Write an exported model whose network consists of these nodes; the last one outputs the points."""
    float32 = onnx.TensorProto.FLOAT
    crop = [BOX_CROP.channels, BOX_CROP.height, BOX_CROP.width]
    images = onnx.helper.make_tensor_value_info("images", float32, ["batch", *crop])
    points = onnx.helper.make_tensor_value_info("points", float32, ["batch", 68, 2])
    graph = onnx.helper.make_graph(list(nodes), "network", [images], [points], list(weights))
    opsets = [onnx.helper.make_opsetid("", 20), *opsets]
    model = onnx.helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10)
    onnx.helper.set_model_props(model, metadata(IBUG68, BOX_CROP, "float32"))
    path.write_bytes(model.SerializeToString())
    return path


def numbers(name, values, kind=np.int64):
    return onnx.numpy_helper.from_array(np.array(values, kind), name)


def node(kind, inputs, outputs, **attributes):
    return onnx.helper.make_node(kind, inputs, outputs, **attributes)


def mean_of(name):
    """Return nodes that output a tensor's mean as all points, so that the tensor cannot be optimised away."""
    return (
        node("ReduceMean", [name], ["mean"], keepdims=0),
        node("Expand", ["mean", "shape"], ["points"]),
    )


SHAPE = ("shape", [1, 68, 2])


def loop():
    """Return a loop that never ends."""
    boolean, whole = onnx.TensorProto.BOOL, onnx.TensorProto.INT64
    body = onnx.helper.make_graph(
        [node("Identity", ["going"], ["goes_on"]), node("Identity", ["held"], ["kept"])],
        "body",
        [
            onnx.helper.make_tensor_value_info("number", whole, []),
            onnx.helper.make_tensor_value_info("going", boolean, []),
            onnx.helper.make_tensor_value_info("held", onnx.TensorProto.FLOAT, [1]),
        ],
        [
            onnx.helper.make_tensor_value_info("goes_on", boolean, []),
            onnx.helper.make_tensor_value_info("kept", onnx.TensorProto.FLOAT, [1]),
        ],
    )
    return node("Loop", ["most", "true", "start"], ["endless"], body=body)


def test_the_nodes_of_a_network_may_have_any_order(tmp_path):
    path = written(tmp_path / "m.onnx", *mean_of("images")[::-1], weights=[numbers(*SHAPE)])
    check_network(path, path.read_bytes())


def test_an_endless_loop_is_refused_before_it_runs(tmp_path):
    weights = [
        numbers(*SHAPE),
        numbers("most", 2**62),
        numbers("true", True, np.bool_),
        numbers("start", [1], np.float32),
    ]
    path = written(tmp_path / "m.onnx", loop(), *mean_of("endless"), weights=weights)
    with pytest.raises(CheckpointError, match=r"m\.onnx: its network has loops.*'Loop'"):
        ExportedModel(path)


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([("ConstantOfShape", ["large"], ["part"])], {"large": [2**31]}),
        ([("Expand", ["images", "large"], ["part"])], {"large": [2**20, 1, 48, 48]}),
        ([("Tile", ["images", "large"], ["part"])], {"large": [1, 2**20, 1, 1]}),
        (
            [
                ("ConstantOfShape", ["some"], ["row"]),
                ("Transpose", ["row"], ["column"]),
                ("Add", ["row", "column"], ["part"]),
            ],
            {"some": [1, 2**20]},
        ),
        (
            [
                ("Concat", ["images"] * 2, ["c0"]),
                *(("Concat", [f"c{n}"] * 2, [f"c{n + 1}"]) for n in range(30)),
                ("Identity", ["c30"], ["part"]),
            ],
            {},
        ),
    ],
    ids=["constant", "expand", "tile", "outer", "doubling"],
)
def test_a_tensor_that_would_fill_the_memory_is_refused(tmp_path, nodes, weights):
    made = [node(*each, **({"axis": 1} if each[0] == "Concat" else {})) for each in nodes]
    given = [numbers(*SHAPE), *(numbers(name, values) for name, values in weights.items())]
    path = written(tmp_path / "m.onnx", *made, *mean_of("part"), weights=given)
    with pytest.raises(CheckpointError, match=r"m\.onnx: its network holds [\d,]+ numbers for one face"):
        ExportedModel(path)


def test_a_network_of_unknown_size_is_tried_in_a_process(tmp_path, monkeypatch):
    nodes = node("NonZero", ["images"], ["places"]), node("Cast", ["places"], ["part"], to=1)
    some = node("Concat", ["part", "one"], ["full"], axis=1)  # the mean of no places would be NaN
    one = numbers("one", [[0.0]] * 4, np.float32)
    path = written(tmp_path / "m.onnx", *nodes, some, *mean_of("full"), weights=[numbers(*SHAPE), one])
    assert ExportedModel(path).at_once == 1
    monkeypatch.setattr(onnx_graph, "_SECONDS", 0.01)
    with pytest.raises(
        CheckpointError, match=r"size of its tensor 'places' cannot be inferred, and it does not run"
    ):
        ExportedModel(path)


def test_tensors_that_outgrow_the_batch_are_tried_in_a_process(tmp_path, monkeypatch):
    nodes = [
        node("Shape", ["images"], ["sides"], start=0, end=1),
        node("Mul", ["sides", "sides"], ["square"]),
        node("Mul", ["square", "square"], ["fourth"]),
        node("ConstantOfShape", ["fourth"], ["part"]),
    ]
    path = written(tmp_path / "m.onnx", *nodes, *mean_of("part"), weights=[numbers(*SHAPE)])
    monkeypatch.setattr(onnx_graph, "_SECONDS", 0.01)
    with pytest.raises(
        CheckpointError, match="its tensors grow faster than the number of faces, and it does not run"
    ):
        ExportedModel(path)


def test_a_network_with_too_much_work_is_refused(tmp_path):
    nodes = [
        node("ConstantOfShape", ["picture"], ["a"]),
        node("ConstantOfShape", ["kernel"], ["b"]),
        node("Conv", ["a", "b"], ["part"]),
    ]
    weights = [numbers(*SHAPE), numbers("picture", [1, 1, 8000, 8000]), numbers("kernel", [1, 1, 2001, 2001])]
    path = written(tmp_path / "m.onnx", *nodes, *mean_of("part"), weights=weights)
    with pytest.raises(CheckpointError, match=r"its network takes [\d,]+ multiplications for one face"):
        ExportedModel(path)


def test_tensors_of_negative_size_or_text_are_refused(tmp_path):
    negative = onnx.TensorProto(name="less", dims=[-(2**40)], data_type=1)
    path = written(tmp_path / "m.onnx", *mean_of("images"), weights=[numbers(*SHAPE), negative])
    with pytest.raises(CheckpointError, match="cannot be used"):
        ExportedModel(path)
    text = onnx.helper.make_tensor("text", onnx.TensorProto.STRING, [1], [b"ab"])
    long = node("StringConcat", ["text", "text"], ["longer"])
    path = written(tmp_path / "m.onnx", long, *mean_of("images"), weights=[numbers(*SHAPE), text])
    with pytest.raises(CheckpointError, match="tensors of text, or of negative sizes"):
        ExportedModel(path)


def test_functions_and_weights_in_other_files_are_refused(tmp_path):
    opsets = [onnx.helper.make_opsetid("own", 1)]
    function = onnx.helper.make_function(
        "own", "Same", ["a"], ["b"], [node("Identity", ["a"], ["b"])], [onnx.helper.make_opsetid("", 20)]
    )
    same = node("Same", ["images"], ["part"], domain="own")
    path = written(
        tmp_path / "m.onnx",
        same,
        *mean_of("part"),
        weights=[numbers(*SHAPE)],
        functions=[function],
        opsets=opsets,
    )
    with pytest.raises(CheckpointError, match=r"loops, branches or functions \('Same'"):
        ExportedModel(path)
    far = numbers("far", [1.0], np.float32)
    onnx.external_data_helper.set_external_data(far, "/etc/passwd")
    far.ClearField("raw_data")
    path = written(tmp_path / "m.onnx", *mean_of("images"), weights=[numbers(*SHAPE), far])
    with pytest.raises(CheckpointError, match="its weights lie in another file"):
        ExportedModel(path)


def test_nodes_that_form_a_cycle_are_refused(tmp_path):
    nodes = node("Add", ["images", "b"], ["a"]), node("Relu", ["a"], ["b"])
    path = written(tmp_path / "m.onnx", *nodes, *mean_of("b"), weights=[numbers(*SHAPE)])
    with pytest.raises(CheckpointError, match=r"m\.onnx: its network cannot be used"):
        ExportedModel(path)
