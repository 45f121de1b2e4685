import pytest

from keypoints.commands import compose
from keypoints.config.values import chosen_groups, flat, listed_names, one_or_more
from keypoints.errors import ConfigError


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


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a", "b"], ["a", "b"]),
        ('["a", "b, c"]', ["a", "b, c"]),
        ("[a,b]", ["a", "b"]),
        ("a, b", ["a, b"]),
        ("2026", ["2026"]),
        ("[]", []),
    ],
)
def test_names_are_a_list_or_one(given, names):
    assert listed_names(given) == names


def test_a_model_is_named_alone_or_with_others():
    assert one_or_more("a.ckpt") == one_or_more(["a.ckpt"]) == "a.ckpt"
    assert one_or_more("[a,b]") == ["a", "b"]
    for given in (None, [], "[]"):
        with pytest.raises(ConfigError, match="checkpoint is a path, or a list of paths"):
            one_or_more(given)
