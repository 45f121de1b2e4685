import pytest

from keypoints import commands  # noqa: F401 - registers the schemas
from keypoints.config.unknown_keys import explain_unknown_key


def explain(config, *arguments):
    key = arguments[-1].partition("=")[0]
    hydras = f"Could not override '{key}'.\nTo append to your config use +{arguments[-1]}"
    return explain_unknown_key(config, arguments, hydras)


@pytest.mark.parametrize(
    ("config", "arguments", "similar"),
    [
        ("train", ["optimiser.lr=1"], "optimizer.lr"),
        ("train", ["optimizer.learning_rate=1"], "optimizer.lr"),
        ("train", ["max_epochs=1"], "trainer.max_epochs"),
        ("train", ["trainer.max_tme=1"], "trainer.max_time"),
        (
            "train",
            ["-m", "model=heatmap,unet", "optimizer=sgd", "optimizer.momentun=1,2"],
            "optimizer.momentum",
        ),
        ("predict", ["checkpoint='a b'", "out=b"], "output"),
    ],
    ids=str,
)
def test_a_misspelt_key_is_answered_with_the_most_similar_one(config, arguments, similar):
    said, key = explain(config, *arguments), arguments[-1].partition("=")[0]
    assert similar in said.partition("similar: ")[2].partition(";")[0].split(", ")
    assert ("+" in said) == ("." in key and not key.startswith("optimiser"))


def test_an_argument_that_no_file_has_can_be_added():
    assert explain("train", "optimizer.betas=[0.9,0.99]") == (
        "'optimizer.betas' is in no file: +optimizer.betas=… adds this argument of torch.optim.Adam"
    )
    assert explain("train", "callbacks.mine._target_=mine.C").endswith("+callbacks.mine._target_=… adds it")


def test_a_key_like_no_other_has_no_similar_ones():
    assert explain("train", "data=nowhere", "qqq=1") == "'qqq' is not a setting here; --help lists all"


def test_other_messages_are_hydras():
    assert explain_unknown_key("train", [], "In 'train': Could not find 'experiment/nose'") is None
