from keypoints.callbacks.description import Description, HyperParameters, architecture
from keypoints.geometry import Crop
from keypoints.landmarks import IMM58
from keypoints.tasks.regression import RegressionTask


def test_architecture_first_batch_and_charts_are_logged(watched):
    _, events = watched(Description())
    text = events.Tensors("architecture/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "Conv2d(1, 4, kernel_size=(5, 5)" in text
    assert len(events.Images("training batch")) == 1
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"loss/train" in layout
    assert b"loss/val" in layout
    assert {"loss/train", "loss/val"} <= set(events.Tags()["scalars"])


def test_the_architecture_has_every_layer_with_its_shape_and_parameters():
    text = architecture(RegressionTask(IMM58, Crop(80, 60)))
    assert "net.features.0" in text
    assert "[1, 12, 54, 74]" in text
    assert "600" in text  # 12 · 7 · 7 weights and 12 biases


def test_hyper_parameters_stand_with_the_final_metrics(watched):
    trainer, events = watched(HyperParameters({"optimizer.lr": 1e-3, "kernels": "[7, 5, 3]"}))
    plugin = events.summary_metadata
    start = plugin["_hparams_/session_start_info"].plugin_data.content
    assert b"optimizer.lr" in start
    assert b"[7, 5, 3]" in start
    assert events.Scalars("last/mse")[-1].value == trainer.callback_metrics["val/mse"]
