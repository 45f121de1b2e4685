from keypoints.commands import compose
from keypoints.config.values import chosen_groups, flat


def test_all_values_are_listed_except_the_runs_own_folder():
    values = flat(compose("train", ["output=here", "logger=none", "data.landmarks=null"]))
    assert values["logger"] == "none"
    assert values["data.landmarks"] == "null"
    assert values["trainer.enable_model_summary"] == "false"
    assert values["model.net.kernel_sizes"] == "[7, 5, 3]"
    assert values["optimizer.lr"] == 1e-3
    assert not [name for name, value in values.items() if str(value).startswith("here")]


def test_choices_of_groups_are_separated_from_values():
    overrides = ["augmentation='wild'", "+callbacks/mine=x", "seed=1", "~logger", "hydra/launcher=joblib"]
    assert chosen_groups(overrides) == {"augmentation": "wild", "callbacks/mine": "x"}
