import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from keypoints.loggers.result import Result
from keypoints.loggers.tensorboard import TensorBoard, place_of

RESULT = Result(
    {"optimizer.lr": 0.01, "seed": 0, "model.net._target_": "keypoints.ConvNet"},
    {"best/mse": 0.2, "best/mae_px": 3.0, "best/variance_ratio": 0.5, "last/mse": 0.4},
    ["optimizer.lr"],
    step=5,
)


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


def curve(events, tag):
    return [(each.step, round(each.value, 3)) for each in events.Scalars(tag)]


@pytest.fixture
def logged(tmp_path):
    """Log two epochs and a result; return the folder."""
    board = TensorBoard(tmp_path)
    board.log_metrics({"loss/train_step": 0.9}, 1)
    for step, loss in ((5, 0.3), (11, 0.4)):
        board.log_metrics(
            {"loss/train": loss, "loss/val": loss + 0.1, "loss/constant": 0.6, "epoch": 1}, step
        )
        board.log_metrics({"val/mse": loss - 0.1, "val/mse_constant": 0.7, "lr-Adam": 0.01}, step)
    board.log_image("first-layer filters", [np.zeros((4, 5, 3), np.uint8)], 5)
    board.log_text("command", ["text"], [["keypoints train"]])
    board.log_result(RESULT)
    board.save()
    board.finalize("success")
    return tmp_path


def test_training_validation_and_baseline_share_the_first_chart(logged):
    runs = [read(logged), read(logged / "validation"), read(logged / "baseline")]
    assert [curve(each, "loss/by epoch") for each in runs] == [
        [(5, 0.3), (11, 0.4)],
        [(5, 0.4), (11, 0.5)],
        [(5, 0.6), (11, 0.6)],
    ]
    assert [curve(each, "metrics/mse") for each in runs[1:]] == [[(5, 0.2), (11, 0.3)], [(5, 0.7), (11, 0.7)]]
    tags = {tag for each in runs for kind in ("scalars", "images") for tag in each.Tags()[kind]}
    assert min(tags) == "loss/by epoch"
    assert "epoch" not in tags


def test_no_chart_has_a_single_dot(logged):
    runs = [read(logged), read(logged / "validation"), read(logged / "baseline")]
    points = {}
    for each in runs:
        for tag in each.Tags()["scalars"]:
            points[tag] = points.get(tag, 0) + len(each.Scalars(tag))
    results = {"metrics/mse", "metrics/mae_px", "metrics/variance_ratio"}
    assert set(points) == {"loss/by epoch", "loss/by step", "optimizer/lr-Adam"} | results
    assert curve(runs[0], "metrics/mse") == [(5, 0.2)]  # on the curve of the validation


def test_hparams_has_columns_for_what_varies_and_the_result(logged):
    plugins = read(logged).summary_metadata
    content = [
        plugins[f"_hparams_/{name}"].plugin_data.content for name in ("experiment", "session_start_info")
    ]
    experiment, session = map(HParamsPluginData.FromString, content)
    assert [each.name for each in experiment.experiment.hparam_infos] == ["optimizer.lr"]
    assert [each.name.tag for each in experiment.experiment.metric_infos] == [
        "metrics/mse",
        "metrics/mae_px",
        "metrics/variance_ratio",
    ]
    assert session.session_start_info.hparams["optimizer.lr"].number_value == 0.01


def test_pictures_and_texts_have_their_names(logged):
    events = read(logged)
    assert events.Tags()["images"] == ["network/first-layer filters"]
    text = events.Tensors("command/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text == "    keypoints train"


def test_a_later_run_of_a_sweep_has_no_baseline(tmp_path):
    board = TensorBoard(tmp_path, baseline=False)
    board.log_metrics({"loss/constant": 0.6, "val/mse_constant": 0.7}, 5)
    board.finalize("success")
    assert list(tmp_path.iterdir()) == []


def date_back(folder):
    """Rename event files as if they had been begun a second earlier: TensorBoard reads them in this order.

    It numbers the files that a process begins in the same second, and reads the 100th before the 99th.
    """
    for path in list(folder.rglob("events.out.tfevents.*")):
        begun = path.name.split(".")[3]
        path.rename(path.with_name(path.name.replace(begun, f"{int(begun) - 1:010}", 1)))


def test_a_resumed_run_hides_later_entries_of_both_losses(logged):
    date_back(logged)
    resumed = TensorBoard(logged, purge_step=6)
    resumed.log_metrics({"loss/train": 0.1, "loss/val": 0.2}, 11)
    resumed.finalize("success")
    assert curve(read(logged), "loss/by epoch") == [(5, 0.3), (11, 0.1)]
    assert curve(read(logged / "validation"), "loss/by epoch") == [(5, 0.4), (11, 0.2)]


def test_a_closed_logger_writes_no_further_file(logged):
    assert len(list(logged.glob("events.out.tfevents.*"))) == 1


def test_an_unknown_name_is_its_own_tag():
    assert tuple(place_of("mine/accuracy")) == ("", "mine/accuracy")
    assert tuple(place_of("val/mine")) == ("validation", "metrics/mine")
