"""Code of a user's own package runs only where it is trusted; an untrusted file runs no code."""

import copy
import json
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from torch import nn

from keypoints.cli import main
from keypoints.commands import compose
from keypoints.components import configure, package_names, trusted_by_user, trusting
from keypoints.datamodules.imm import IMMDataModule
from keypoints.errors import CheckpointError, ConfigError, DataError
from keypoints.instantiate import make_data, make_task, make_trainer
from keypoints.runs.run_folder import RunFolder
from keypoints.runs.status import read_status
from keypoints.runs.sweep_folder import SweepFolder
from keypoints.tasks.base import load_task
from keypoints.tasks.regression import RegressionTask
from tests.command_lines import BLANK_FIGURES
from tests.conftest import SMALL, change_checkpoint, write_wild

PACKAGE = """
import torch
from pytorch_lightning import Callback
from torch import nn

from keypoints import IBUG300WDataModule


class Net(nn.Sequential):
    def __init__(self, input_size, in_channels, out_features, width):
        cells = (input_size[0] // 4) * (input_size[1] // 4)
        layers = nn.Conv2d(in_channels, width, 4, stride=4), nn.ReLU(), nn.Flatten()
        super().__init__(*layers, nn.Linear(width * cells, out_features))


class Loss(nn.Module):
    def __init__(self, power):
        super().__init__()
        self.power = power
        self.register_buffer("scale", torch.ones(()))

    def forward(self, predictions, targets):
        return self.scale * (predictions - targets).abs().pow(self.power).mean()


class Faces(IBUG300WDataModule):
    pass


class Greeting(Callback):
    def on_fit_start(self, trainer, pl_module):
        print("hello from mypackage")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder outside the checkout with a package, its configuration, and made-up faces in 300-W's layout."""
    place = tmp_path_factory.mktemp("elsewhere")
    (place / "code" / "mypackage").mkdir(parents=True)
    (place / "code" / "mypackage" / "__init__.py").write_text(PACKAGE)
    write_wild(place / "data" / "ibug_300W_large_face_landmark_dataset")
    own = {
        "data/mine": {"defaults": ["ibug300w"], "_target_": "mypackage.Faces", "val_fraction": 0.4},
        "model/mine": {
            "_target_": "keypoints.tasks.regression.RegressionTask",
            "net": {"_target_": "mypackage.Net", "width": 4},
        },
        "loss/mine": {"_target_": "mypackage.Loss", "power": 1.5},
        "callbacks/mine": {"defaults": ["default"], "greeting": {"_target_": "mypackage.Greeting"}},
    }
    for name, contents in own.items():
        path = place / "my_conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(contents, sort_keys=False))
    return place


SESSION = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from keypoints.cli import main
from keypoints.components import trusted_by_user

{blank}
told = sys.stdout
for line in sys.stdin:
    out, err, status = io.StringIO(), io.StringIO(), 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main(json.loads(line))
    except SystemExit as end:
        status = end.code
    ended = [status, out.getvalue(), err.getvalue(), sorted(trusted_by_user())]
    print(json.dumps(ended), file=told, flush=True)
"""
"""Program that runs commands: their exit status, what they say, and which packages stay trusted."""


class Ended(NamedTuple):
    status: int
    out: str
    err: str
    still_trusted: list[str]


@pytest.fixture(scope="module")
def session(place):
    """Function that runs a command in one process, which starts in the folder ``place`` with the package."""
    own = {"PYTHONPATH": str(place / "code"), "KEYPOINTS_DATA": str(place / "data")}
    program = SESSION.format(blank=BLANK_FIGURES)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=place,
        env={**os.environ, **own},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def run(words):
            print(json.dumps(words), file=process.stdin, flush=True)
            return Ended(*json.loads(process.stdout.readline()))

        yield run
        process.stdin.close()


GROUPS = ["data=mine", "model=mine", "loss=mine", "callbacks=mine"]
TINY = ["data.width=32", "data.height=32", "data.batch_size=2", "trainer=cpu", "~callbacks.progress"]


@pytest.fixture(scope="module")
def trained(place, session):
    """Folder of a run of two epochs whose data, model, loss and callback come from the package."""
    done = session(["train", "--config-dir", "my_conf", *GROUPS, *TINY, "trainer.max_epochs=2", "output=run"])
    assert done.status == 0, done.err
    assert "hello from mypackage" in done.out
    return place / "run"


LISTED = "data/ibug_300W_large_face_landmark_dataset/labels_ibug_300W_test.xml"
VERBS = {
    "evaluate": ["evaluate", "run", "split=val"],
    "predict": [
        "predict",
        "run",
        f"input={LISTED}",
        "output=predicted",
    ],
    "export": ["export", "run", "output=model.onnx"],
    "submit": ["submit", "run", "output=submission.csv"],
    "report": ["report", "run"],
    "demo": ["demo", "run", "host=no.such.host.invalid"],
    "train start_from": [
        *("train", "experiment=ibug300w", "model=mine", "--config-dir", "my_conf", *TINY, "start_from=run"),
        *("trainer.max_epochs=1", "output=tuned", "data.val_fraction=0.4", "augmentation=none"),
    ],
    "train resume": ["train", "resume=stopped"],
}
"""Commands of all verbs that read a checkpoint or a run's folder."""

TRUSTING_BY_ITSELF = ("train start_from",)
"""Commands that need no ``trust``, since the user's own configuration names the package."""


@pytest.fixture
def stopped(trained):
    """Copy of the run that looks as if it was stopped after its second epoch of three."""
    folder = trained.parent / "stopped"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(trained, folder)
    pretend_stopped(folder)
    return folder


def pretend_stopped(folder):
    config = OmegaConf.load(folder / "config.yaml")
    moved = OmegaConf.to_yaml(config).replace(str(config.output), str(folder))
    (folder / "config.yaml").write_text(moved.replace("max_epochs: 2", "max_epochs: 3"))
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps({**status, "status": "interrupted"}))


@pytest.fixture(scope="module")
def ended(session, trained):
    """Function that runs a verb with trusted code."""

    def run(verb):
        trust = [] if verb in TRUSTING_BY_ITSELF else ["trust=mypackage"]
        return session([*VERBS[verb], *trust])

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_runs_trusted_code(ended, stopped, verb):
    done = ended(verb)
    if verb == "demo":  # the model is read before the address is tried
        assert "cannot listen at no.such.host.invalid:" in done.err
    else:
        assert done.status == 0, done.err
    assert done.still_trusted == []


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in TRUSTING_BY_ITSELF])
def test_untrusted_code_is_refused_with_the_way_to_trust_it(
    place, trained, stopped, verb, monkeypatch, capsys
):
    monkeypatch.chdir(place)
    before = (trained / "report.html").read_bytes()
    arguments = [each.replace("output=", "output=refused-") for each in VERBS[verb]]
    with pytest.raises(SystemExit, match="1"):
        main(arguments)
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert "say trust=mypackage, or set KEYPOINTS_TRUST=mypackage" in said
    assert (trained / "report.html").read_bytes() == before
    assert not list(place.glob("refused-*"))


def test_trust_comes_from_the_environment_or_a_list(place, trained, monkeypatch):
    given = ["predict", str(trained), f"input={place / LISTED}"]
    monkeypatch.syspath_prepend(place / "code")
    with pytest.raises(CheckpointError, match="trust=mypackage"):
        load_task(trained / "checkpoints" / "best.ckpt")
    with monkeypatch.context() as patch:
        patch.setenv("KEYPOINTS_TRUST", "other,mypackage")
        load_task(trained / "checkpoints" / "best.ckpt")
    for number, written in enumerate(("trust=[other,mypackage]", "trust=other,mypackage", "trust=mypackage")):
        main([*given, f"output={place / f'listed-{number}'}", written])


def test_a_task_remembers_the_trust_for_its_optimizer(untrained):
    before = trusted_by_user()
    with trusting("tests", "another.package"):
        assert trusted_by_user() == before | {"tests", "another.package"}
        task = load_task(untrained)
    assert trusted_by_user() == before
    task._optimizer = configure(Descent, lr=0.1)
    assert type(task.configure_optimizers()) is Descent


class Descent(torch.optim.SGD):
    """Optimizer of a package that is not trusted."""


@pytest.mark.parametrize("given", ["no package", "a-b", "../evil", "*", "a..b"])
def test_an_invalid_package_name_is_refused(given):
    with pytest.raises(ConfigError, match="trust is the name of a package"):
        package_names(given)
    assert package_names(None) == package_names("") == ()


RAN = []


def ran(*arguments, **settings):
    RAN.append((arguments, settings))


class Ran(nn.Module):
    def __init__(self, *arguments, **settings):
        super().__init__()
        ran()


HOSTILE = [
    {"_target_": "tests.test_trust.ran"},
    {"_target_": "tests.test_trust.Ran"},
    {"_target_": "os.system", "command": "touch ran"},
    {"_target_": "builtins.open", "file": "ran", "mode": "w"},
    {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "x", "source": "local"},
    {"_target_": "torch.load", "f": "x", "weights_only": False},
    {"_target_": "torch.nn.modules.module.torch.hub.load", "repo_or_dir": "."},
    {"_target_": "keypoints.components.import_module", "name": "antigravity"},
    {"_target_": "hydra.utils.get_method", "path": "os.system"},
    {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.system", "command": "touch ran"}},
    {"_target_": "torch.nn.Sequential", "inner": {"_target_": "tests.test_trust.ran"}},
    {
        "_target_": "pytorch_lightning.callbacks.LambdaCallback",
        "on_fit_start": {"_target_": "tests.test_trust.ran", "_partial_": True},
    },
    {"_target_": "albumentations.Lambda", "image": [{"_target_": "tests.test_trust.ran"}]},
    {"_target_": "pytorch_lightning.seed_everything", "seed": 3},
]
NODES = [
    "data",
    "model",
    "model.net",
    "loss",
    "optimizer",
    "scheduler",
    "trainer.strategy",
    "trainer.plugins",
    "callbacks.mine",
    "logger.mine",
    "augmentation",
    "augmentation.transforms.mine",
    "data.root",
]


def build_all(cfg):
    """Build everything that a resumed training builds from a configuration."""
    data = make_data(cfg, recorded=True)
    task = make_task(cfg, data, recorded=True)
    task.configure_optimizers()
    make_trainer(cfg, recorded=True)


@pytest.fixture(scope="module")
def configuration(made_up_imm):
    """Configuration of a training, composed once."""
    return compose("train", [*SMALL, "augmentation=rotate_shift", f"data.root={made_up_imm}", "output=run"])


@pytest.fixture
def recorded(configuration, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RAN.clear()
    copied = copy.deepcopy(configuration)
    copied.output = str(tmp_path / "run")
    return copied


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda node: node["_target_"])
@pytest.mark.parametrize("node", NODES)
def test_a_recorded_configuration_runs_no_code(recorded, tmp_path, node, hostile):
    OmegaConf.update(recorded, node, hostile, force_add=True, merge=False)
    with pytest.raises(ConfigError):
        build_all(recorded)
    assert not RAN
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("callbacks.checkpoint.dirpath", "/tmp"),
        ("callbacks.checkpoint.dirpath", "elsewhere"),
        ("callbacks.checkpoint.filename", "../../best"),
        ("logger.csv.save_dir", "/tmp"),
        ("logger.tensorboard.save_dir", "/tmp"),
        ("trainer.default_root_dir", ".."),
    ],
)
def test_a_recorded_configuration_writes_only_to_its_own_folder(recorded, tmp_path, key, value):
    OmegaConf.update(recorded, key, value)
    with pytest.raises(ConfigError, match=f"{key}=.*lies outside of the run's folder"):
        build_all(recorded)
    assert not list(tmp_path.rglob("*"))


def test_text_that_becomes_an_interpolation_later_is_refused(recorded):
    hidden = {"_target_": "pytorch_lightning.callbacks.LambdaCallback", "on_fit_start": "${one}${two}"}
    OmegaConf.update(recorded, "one", "$", force_add=True)
    OmegaConf.update(recorded, "two", "{oc.create:{_target_: tests.test_trust.ran}}", force_add=True)
    OmegaConf.update(recorded, "callbacks.mine", hidden, force_add=True)
    with pytest.raises(ConfigError, match="refers to other values"):
        build_all(recorded)
    assert not RAN


def test_a_recorded_configuration_of_known_classes_is_built(recorded):
    OmegaConf.update(
        recorded,
        "callbacks.stop",
        {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/mse"},
        force_add=True,
    )
    strategy = {"_target_": "pytorch_lightning.strategies.SingleDeviceStrategy"}
    OmegaConf.update(recorded, "trainer.strategy", strategy, force_add=True)
    build_all(recorded)


def test_functions_of_a_trusted_package_are_accepted(recorded):
    OmegaConf.update(
        recorded, "callbacks.mine", {"_target_": "tests.test_trust.make_stopping"}, force_add=True
    )
    with pytest.raises(ConfigError, match=r"callbacks\.mine: tests.*trust=tests"):
        build_all(recorded)
    with trusting("tests"):
        build_all(recorded)
        for elsewhere in (
            "tests.test_trust.os.system",
            "tests.test_trust.json.loads",
            "tests.test_trust.HOSTILE",
        ):
            OmegaConf.update(recorded, "callbacks.mine", {"_target_": elsewhere})
            with pytest.raises(ConfigError, match=r"callbacks\.mine: "):
                build_all(recorded)


def make_stopping():
    from pytorch_lightning.callbacks import EarlyStopping

    return EarlyStopping("val/mse")


def test_resuming_an_untrusted_run_runs_none_of_its_code(finished_run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    pretend_stopped(folder)
    config = OmegaConf.load(folder / "config.yaml")
    config.callbacks.mine = {"_target_": "tests.test_trust.ran"}
    config.trust = "tests"
    OmegaConf.save(config, folder / "config.yaml")
    RAN.clear()
    with pytest.raises(SystemExit, match="1"):
        main(["train", f"resume={folder}"])
    said = capsys.readouterr().err
    assert said.startswith("error: callbacks.mine: tests.test_trust.ran is outside the trusted packages")
    assert said.count("\n") == 1
    assert not RAN
    assert read_status(RunFolder(folder)).state == "failed"


@pytest.mark.parametrize(
    ("task", "hydra"),
    [
        ([], ["+hydra.callbacks.mine._target_=tests.test_trust.Hook"]),
        ([], ["hydra.job_logging.handlers.console.class=tests.test_trust.Hook"]),
        ([], ["hydra.launcher.setup=[touch ran]"]),
        ([], ["hydra/launcher=submitit_local", "hydra.launcher._target_=tests.test_trust.Hook"]),
        ([], ["hydra.sweeper.params={hydra.callbacks.mine._target_:tests.test_trust.Hook}"]),
        ([], ["hydra.searchpath=[file://evil]"]),
        (["+hydra.callbacks.mine._target_=tests.test_trust.Hook"], []),
        (["experiment=../../evil"], []),
        (["experiment@hydra.callbacks=nose_tip"], []),
        (["--config-dir=evil"], []),
        (["-cn=evil"], []),
        (["trust=tests", "+callbacks.mine._target_=tests.test_trust.Hook"], []),
        (["seed=0,1", "data._target_=tests.test_trust.Hook"], []),
        (["model.net._target_=tests.test_trust.Ran"], []),
    ],
    ids=str,
)
def test_resuming_an_untrusted_sweep_runs_none_of_its_code(
    made_up_imm, tmp_path, monkeypatch, capsys, task, hydra
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sweep"
    folder.mkdir()
    overrides = {
        "task": [*SMALL, f"data.root={made_up_imm}", *task],
        "hydra": ["hydra.mode=MULTIRUN", *hydra],
    }
    OmegaConf.save({"hydra": {"overrides": overrides}}, folder / "multirun.yaml")
    RAN.clear()
    with pytest.raises(SystemExit, match="1"):
        main(["train", f"resume={folder}"])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "error: " in said
    assert not RAN
    assert not (tmp_path / "ran").exists()


class Hook:
    def __init__(self, *_, **__):
        ran()


def test_a_sweep_is_resumed_with_its_own_overrides(tmp_path):
    asked = ["seed=0,1", "optimizer.lr=1e-2,1e-3", "trainer=cpu", "output=elsewhere", "trust=mine"]
    hydras = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", 'hydra.sweeper.params={seed:"range(0,3)"}']
    OmegaConf.save({"hydra": {"overrides": {"task": asked, "hydra": hydras}}}, tmp_path / "multirun.yaml")
    assert SweepFolder(tmp_path).to_resume() == [*asked[:3], *hydras]


def test_a_setting_of_hydra_is_used_if_given_again(tmp_path):
    overrides = {"task": ["seed=0,1"], "hydra": ["hydra.verbose=true"]}
    OmegaConf.save({"hydra": {"overrides": overrides}}, tmp_path / "multirun.yaml")
    with pytest.raises(DataError, match=r"'hydra\.verbose=true' changes .*if it is yours, give it again"):
        SweepFolder(tmp_path).to_resume()
    assert SweepFolder(tmp_path).to_resume(["hydra.verbose=true"]) == ["seed=0,1"]


def test_resume_takes_only_trust_and_settings_of_hydra(tmp_path):
    from keypoints.cli import _resumed

    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "status.json").write_text("{}")
    beside = ["trust=[a,b]", "hydra.launcher.n_jobs=3"]
    assert _resumed([beside[0], f"resume={folder}", beside[1]])[1:] == beside
    with pytest.raises(ConfigError, match="takes no other setting, except trust="):
        _resumed([f"resume={folder}", "seed=1"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda own: own["hyper_parameters"]["net"].update(hidden=2**22), "asks for a network of more than"),
        (lambda own: own["hyper_parameters"]["net"].update(channels=[2**13, 2**13]), "asks for a network"),
        (
            lambda own: own["hyper_parameters"]["net"].update(
                kernel_sizes=[1] * 3_000, channels=[1] * 3_000, pooling=1
            ),
            "asks for a network of more than",
        ),
        (
            lambda own: own["hyper_parameters"]["crop"].update(width=2**20, height=2**20),
            "at most 16,777,216 pixels",
        ),
        (
            lambda own: own["state_dict"].update({"net.big": torch.zeros(1).expand(2**33)}),
            r"net\.big claims 8,589,934,592 numbers",
        ),
    ],
    ids=["wide", "channels", "deep", "input", "claims"],
)
def test_a_checkpoint_of_an_oversized_network_is_refused(untrained, tmp_path, monkeypatch, change, says):
    monkeypatch.setattr("keypoints.models.budget._MODULES", 2_000)  # to build more of them takes seconds
    path = shutil.copy(untrained, tmp_path / "large.ckpt")
    change_checkpoint(path, change)
    with pytest.raises(CheckpointError, match=rf"large\.ckpt: .*{says}"):
        load_task(path)


def test_loading_with_lightnings_own_method_is_as_safe(untrained, finished_run, tmp_path):
    assert isinstance(RegressionTask.load_from_checkpoint(untrained), RegressionTask)
    path = shutil.copy(untrained, tmp_path / "hostile.ckpt")
    change_checkpoint(
        path, lambda own: own.update(hparams_name="kwargs") or own["keypoints"].update(task="os.system")
    )
    with pytest.raises(CheckpointError, match=r"os\.system is outside the trusted packages"):
        RegressionTask.load_from_checkpoint(path)
    with pytest.raises(ConfigError, match="weights_only does not apply"):
        RegressionTask.load_from_checkpoint(untrained, weights_only=False)
    from keypoints.tasks.heatmap import HeatmapTask

    with pytest.raises(CheckpointError, match="holds a RegressionTask, not a HeatmapTask"):
        HeatmapTask.load_from_checkpoint(untrained)


def test_a_report_that_fails_keeps_the_old_one(finished_run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    before = (folder / "report.html").read_bytes()
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"damaged")
    with pytest.raises(SystemExit, match="1"):
        main(["report", str(folder)])
    assert "best.ckpt: truncated, damaged" in capsys.readouterr().err
    assert (folder / "report.html").read_bytes() == before


def test_the_data_module_of_a_run_is_built_only_if_trusted(finished_run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    config = OmegaConf.load(folder / "config.yaml")
    config.data._target_ = "tests.test_trust.Faces"
    OmegaConf.save(config, folder / "config.yaml")
    with pytest.raises(SystemExit, match="1"):
        main(["evaluate", str(folder)])
    assert "data: tests.test_trust.Faces is outside the trusted packages" in capsys.readouterr().err
    main(["evaluate", str(folder), "trust=tests"])


class Faces(IMMDataModule):
    """Data module of a package that is not trusted."""


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / "multirun.yaml").write_text("hydra: {overrides: {task: ['a b c'], hydra: []}}")
    with pytest.raises(DataError, match=r"multirun\.yaml: 'a b c' is no override"):
        SweepFolder(tmp_path).to_resume()
