import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from keypoints.cli import main
from keypoints.commands import VERBS, compose
from keypoints.config.checks import as_typed, check_values
from keypoints.config.compose import preview
from keypoints.config.registry import schema_of
from keypoints.data.dataset_folders import HOMES
from keypoints.datatools.verify import LISTED_SETS
from keypoints.errors import ConfigError

WITH_CHOICES = {
    "norm": "keypoints.tasks.metrics:NORMS",
    "precision": "keypoints.inference.onnx_export:PRECISIONS",
    "dataset": "keypoints.data.dataset_folders:HOMES",
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_setting_has_a_description_and_a_valid_default(verb):
    settings = schema_of(verb.config).all
    assert settings
    for each in settings.values():
        assert each.sentence.endswith((".", "*'")), each.key
        assert each.sentence[0].isupper() or each.sentence.startswith("auto"), each.key
        each.checked(each.default)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_configuration_has_exactly_the_settings_of_its_schema(verb):
    plain = OmegaConf.to_container(compose(verb.config))
    settings = schema_of(verb.config).settings
    assert {key.partition(".")[0] for key in settings} <= set(plain)
    if "train" not in (verb.config, *(base.__name__.lower() for base in verb.schema.__mro__)):
        assert {key.partition(".")[0] for key in settings} == set(plain)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_example_can_be_composed(verb, monkeypatch):
    assert len(verb.examples) == 3
    for example in verb.examples:
        assert example.startswith(verb.name)
        words = [word.strip("'") for word in example.removeprefix(verb.name).split()]
        given = [word for word in words if word != "-m" and not word.startswith("resume=")]
        if verb.takes_words:
            listed = ",".join(word for word in given if "=" not in word)
            given = [f"{verb.positional}='[{listed}]'", *(word for word in given if "=" in word)]
        elif given and "=" not in given[0]:
            assert verb.positional
            given[0] = f"{verb.positional}={given[0]}"
        flags = ["-m"] if "-m" in words else []
        overrides = as_typed(verb.config, [*flags, *given])[len(flags) :]
        cfg = preview(verb.config, flags, overrides)
        assert cfg is not None, example
        check_values(verb.config, cfg)


def test_choices_match_the_code_that_uses_them():
    from importlib import import_module

    for key, place in WITH_CHOICES.items():
        module, _, name = place.partition(":")
        known = tuple(getattr(import_module(module), name))
        found = [schema_of(verb.config).settings.get(key) for verb in VERBS.values()]
        for setting in filter(None, found):
            lists = set(LISTED_SETS) & set(setting.choices)  # of data verify, which checks them too
            assert set(setting.choices) - lists == set(known), key
    assert set(schema_of(VERBS["data verify"].config).settings["dataset"].choices) == {*HOMES, *LISTED_SETS}


def test_convert_offers_exactly_the_formats_that_can_be_written():
    from keypoints.data.readers.labelled import FORMATS

    written = {name for name, known in FORMATS.items() if known.write is not None}
    assert set(schema_of("convert").settings["format"].choices) == written


@pytest.mark.parametrize(
    ("verb", "typed", "says"),
    [
        ("predict", "which=first", "which is one of best, last, not 'first'"),
        ("evaluate", "faces=0", "faces is a whole number from 1 up, not 0"),
        ("evaluate", "stress_faces=2.5", "stress_faces is a whole number from 1 up, not 2.5"),
        ("evaluate", "stress_faces=null", "stress_faces is a whole number from 1 up, not None"),
        ("evaluate", "boxes=found", "boxes is one of given, detected, points, not 'found'"),
        ("evaluate", "norm=eyes", "norm is one of pair, box, diagonal, or null, not 'eyes'"),
        ("export", "precision=int4", "precision is one of float32, fp16, int8, not 'int4'"),
        ("bench", "seconds=0", "seconds is a finite number above 0, not 0"),
        ("bench", "rounds=2.5", "rounds is a whole number from 1 up, not 2.5"),
        ("shrink", "quality=101", "quality is a whole number from 1 to 100, not 101"),
        ("shrink", "side=0", "side is a whole number from 1 up, or null, not 0"),
        ("download", "dataset=wflw", "dataset is one of imm, ibug300w, not 'wflw'"),
        ("convert", "format=xlsx", "format is one of csv, hrnet, coco, dlib, not 'xlsx'"),
        ("demo", "port=70000", "port is a whole number from 0 to 65535, not 70000"),
        ("train", "seed=-1", "seed is a whole number from 0 up, not -1"),
        ("predict", "report=1.5", "report is true or false, not 1.5"),
        ("predict", "start_from=x", None),
    ],
)
def test_a_typed_value_is_checked_before_the_verb_runs(verb, typed, says):
    if says is None:
        assert as_typed(verb, [typed]) == ["start_from='x'"]  # Hydra reports that there is no such key
        return
    with pytest.raises(ConfigError, match=f"^{re.escape(says)}$"):
        as_typed(verb, [typed])


def test_values_in_files_are_checked_like_typed_ones(tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    mine = tmp_path / "experiment" / "mine.yaml"
    for text, says in (
        ("seed: -3", "seed is a whole number from 0 up, not -3"),
        ("data: {batch_size: two}", "data.batch_size is a whole number, not 'two'"),
        ("seed: many", "In 'experiment/mine': seed is a whole number from 0 up, not 'many'"),
        ("seeds: [1]\ndata: {fold: 1}", None),
    ):
        mine.write_text(f"# @package _global_\n{text}\n")
        given = ["train", "--config-dir", str(tmp_path), "experiment=mine", f"output={tmp_path / 'run'}"]
        if says is None:
            main([*given, "--cfg", "job"])
            assert "seeds:" in capsys.readouterr().out
            continue
        with pytest.raises(SystemExit, match="1"):
            main(given)
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            ["predict"],
            "checkpoint, input, output have no value .* give checkpoint=<path> input=<path> output=",
        ),
        (["report"], "folder has no value .* give folder=<path>, folder of a run or of a sweep"),
        (["data", "convert", "a.csv"], "format has no value .*; output has no value"),
        (
            ["demo", "a.onnx", "b.jpg"],
            "b.jpg: has no key; keypoints demo takes one word, its checkpoint",
        ),
        (["demo", "port=1", "a.onnx"], "a.onnx: has no key"),
        (["evaluate"], "say which model: checkpoint=<file or run's folder>, or predictions=<table>"),
        (["submit"], "say which model: checkpoint=<file or run's folder>, or check=<submission>"),
        (["report", "/no=where"], "/no=where: no such folder"),
        (["train", "nose_tip"], "nose_tip: has no key; keypoints train takes only key=value"),
        (["data", "synthesize", "40"], "40: has no key"),
        (["evaluate", "a=b/run"], "a=b/run: is a path; write checkpoint=a=b/run"),
    ],
    ids=" ".join,
)
def test_only_the_first_word_may_lack_its_key(typed, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a=b/run").mkdir(parents=True)
    with pytest.raises(SystemExit, match="1"):
        main(typed)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: {says}", line), line


def test_flags_may_come_before_the_first_word(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="1"):
        main(["report", "--config-dir", ".", "nowhere"])
    assert "nowhere: no such folder" in capsys.readouterr().err


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Folder for ``--config-dir`` with typical files of a user, and the user's package."""
    (tmp_path / "my_nets.py").write_text(
        "class Odd:\n    def __init__(self, size: 'any number' = 1): ...\n"
        "class Chan:\n    def __init__(self, input_size, in_channels, out_features, channels: int = 3): ...\n"
    )
    files = {
        "model/odd.yaml": "_target_: keypoints.RegressionTask\nnet: {_target_: my_nets.Odd, size: 1}\n",
        "model/chan.yaml": "_target_: keypoints.RegressionTask\nnet: {_target_: my_nets.Chan, channels: 1}\n",
        "experiment/places.yaml": "# @package _global_\npaths: {mine: /x}\ndata: {root: '${paths.mine}/f'}\n",
        "paths/lab.yaml": "data: /lab\noutputs: out\ncache: /tmp\n",
        "prim.yaml": "defaults: [train, _self_, {override model: chan}]\n",
        "optimizer/adam.yaml": "# Mine.\n_target_: torch.optim.Adam\nlr: 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("--config-dir . model.net.hidden=3", "hidden: 3"),  # although an annotation cannot be parsed
        ("--config-dir . model=odd model.net.size=2.5", "size: 2.5"),
        ("--config-dir . experiment=places", "root: .*/f"),
        ("--config-dir . paths=lab", "cache: /tmp"),
        ("--config-dir . model.net._target_=my_nets.Chan model.net.channels=5", "channels: 5"),
        ("--config-dir . --config-name prim model.net.channels=7", "channels: 7"),
        ("+trainer.gradient_clip_val=inf", "gradient_clip_val: .*inf"),
        ("callbacks.progress.refresh_rate=0.5", "refresh_rate: 0.5"),
    ],
)
def test_files_and_classes_of_users_are_accepted(own, typed, says, capsys):
    main(["train", *typed.split(), "--cfg", "job"])
    assert re.search(says, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("train paths.foo=1", "'paths.foo' is not a setting here; similar: paths.outputs"),
        ("train --config-dir . model=odd foo=1 -h", "'foo' is not a setting here"),
        ("train -cn nix -h", "Cannot find primary config 'nix'"),
        ("train -m seed=choice(1.5,2)", "seed is a whole number from 0 up, not 1.5"),
        ("train -m seed=range(0,2,0.5)", "seed is a whole number from 0 up, not 0.0"),
    ],
)
def test_a_mistake_with_flags_or_in_a_sweep_is_reported(own, typed, says, capsys):
    before = sorted(own.rglob("*"))
    with pytest.raises(SystemExit, match="1"):
        main(typed.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {says}")
    assert sorted(own.rglob("*")) == before


def test_help_describes_the_option_that_hydra_uses(own, capsys):
    """Check that the package's option wins over a user's option of the same name, as in Hydra."""
    main(["train", "--config-dir", ".", "--help"])
    assert re.search(r"\* adam +Adam\.", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("evaluate", {"checkpoint": "outputs/a"}, "measuring outputs/a"),
        ("evaluate", {"checkpoint": None, "predictions": "list.csv"}, "measuring list.csv"),
        ("compare", {"runs": '["a", "b"]'}, "comparing a, b"),
        ("data synthesize", {}, "generating made-up faces"),
    ],
)
def test_the_first_line_names_the_work_and_its_subject(name, values, text):
    assert VERBS[name].start(OmegaConf.create(values)) == text


def test_a_command_says_at_once_what_it_does(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(
            ["data", "convert", f"source={tmp_path / 'none.csv'}", "format=coco", f"output={tmp_path / 'a'}"]
        )
    assert capsys.readouterr().out.startswith(f"converting {tmp_path / 'none.csv'}")
    main(["data", "convert", "--help"])
    assert "converting" not in capsys.readouterr().out
