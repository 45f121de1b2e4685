import json

from omegaconf import OmegaConf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from keypoints.callbacks.run_description import Description, HyperParameters, architecture, hyper_parameters
from keypoints.commands import compose
from keypoints.components import trusting
from keypoints.crop import Crop
from keypoints.runs.run_folder import RunFolder
from keypoints.schemes import IMM58
from keypoints.tasks.regression import RegressionTask
from tests.loggers.recorder import Recorder
from tests.working import interrupted_at, resume, train


def test_architecture_first_batch_and_charts_are_logged(watched):
    _, events = watched(Description())
    text = events.Tensors("architecture/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "Conv2d(1, 4, kernel_size=(5, 5)" in text
    assert len(events.Images("training batch")) == 1
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"loss/train" in layout
    assert b"loss/val" in layout
    assert {"loss/train", "loss/val"} <= set(events.Tags()["scalars"])


def test_a_resumed_run_logs_no_text_again(configured, tmp_path):
    Recorder.made.clear()
    ours = ["callbacks.last_checkpoint.seconds=0", f"+logger.own._target_={Recorder.__module__}.Recorder"]
    with interrupted_at(8):
        train(configured(*ours))
    with trusting("tests"):
        resume(tmp_path / "run")
    first, resumed = [{key for key, *_ in each.texts} for each in Recorder.made]
    assert {"architecture", "configuration"} <= first
    assert resumed == set()


def test_the_architecture_lists_shapes_and_parameters_of_the_layers():
    text = architecture(RegressionTask(IMM58, Crop(80, 60)))
    assert "net.features.0" in text
    assert "[1, 12, 54, 74]" in text
    assert "600" in text  # 12 · 7 · 7 weights and 12 biases


def run_with(folder, *overrides, **status):
    """Write the folder of a run with this configuration, and return it."""
    folder.mkdir()
    (folder / "status.json").write_text(json.dumps({"status": "running", **status}))
    cfg = compose("train", [*overrides, f"output={folder}"])
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True))
    return folder


def test_hyper_parameters_are_logged_with_the_final_metrics(watched, tmp_path):
    trainer, events = watched(HyperParameters(run_with(tmp_path / "run")))
    plugin = events.summary_metadata
    start = plugin["_hparams_/session_start_info"].plugin_data.content
    assert b"optimizer.lr" in start
    assert b"[7, 5, 3]" in start
    assert events.Scalars("last/mse")[-1].value == trainer.callback_metrics["val/mse"]


def test_all_values_of_the_configuration_are_hyper_parameters(watched, tmp_path):
    chosen = ["augmentation=wild", "augmentation.transforms.flip.p=0.25", "trainer.precision=bf16-mixed"]
    given = [*chosen, "start_from=best", "scheduler=cosine"]
    run = run_with(tmp_path / "run", *given, overrides=["augmentation=wild"])
    values = hyper_parameters(RunFolder(run))
    assert values["augmentation"] == "wild"
    assert values["scheduler._target_"] == "torch.optim.lr_scheduler.CosineAnnealingLR"
    assert str(run) not in map(str, values.values())
    _, events = watched(HyperParameters(run))
    start = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    read = HParamsPluginData.FromString(start).session_start_info.hparams
    for key, kind, value in (
        ("augmentation.transforms.flip.p", "number_value", 0.25),
        ("trainer.precision", "string_value", "bf16-mixed"),
        ("start_from", "string_value", "best"),
        ("data.landmarks", "string_value", "null"),
        ("model.net.padded", "string_value", "false"),
        ("model.net.kernel_sizes", "string_value", "[7, 5, 3]"),
        ("callbacks.predictions.every_n_epochs", "number_value", 5),
    ):
        assert read[key].WhichOneof("kind") == kind
        assert getattr(read[key], kind) == value
