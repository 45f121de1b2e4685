import collections
import subprocess
import sys

import pytest
from torch import nn
from torch.optim import SGD, Optimizer

from keypoints import components
from keypoints.components import build, configure, find_class, trust, trusting
from keypoints.errors import ConfigError, DataError
from keypoints.tasks.losses import WingLoss


def test_a_component_builds_the_class_it_names():
    loss = build(configure(WingLoss, width=0.2), nn.Module, curvature=0.1)
    assert (type(loss), loss.width, loss.curvature) == (WingLoss, 0.2, 0.1)


def test_positional_arguments_come_from_the_caller():
    weights = [nn.Parameter(nn.Linear(1, 1).weight.detach())]
    assert isinstance(build({"_target_": "torch.optim.SGD", "lr": 0.1}, Optimizer, weights), SGD)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("os.system", "outside the trusted packages"),
        ("builtins.eval", "outside the trusted packages"),
        ("torchx.Evil", "outside the trusted packages"),
        ("torch.nn.modules.module.torch.load", "there is no"),
        ("keypoints.components.import_module", "is no Module"),  # a function of another package
        ("keypoints.components.build", "is no Module"),
        ("torch.nn.Softplush", "there is no torch.nn.Softplush"),
        ("torch.optim.SGD", "is no Module"),
        (7, "needs a _target_"),
    ],
)
def test_only_trusted_classes_of_the_wanted_kind_are_built(target, says):
    with pytest.raises(ConfigError, match=says):
        build({"_target_": target}, nn.Module)


def test_a_package_can_be_trusted(monkeypatch):
    monkeypatch.setattr(components, "_by_user", set())
    with pytest.raises(ConfigError, match="say trust=tests, or set KEYPOINTS_TRUST=tests"):
        build(configure(Own), nn.Module)
    trust("tests.test_components")
    assert isinstance(build(configure(Own), nn.Module), Own)
    with pytest.raises(ConfigError, match="outside the trusted packages"):
        build({"_target_": "tests.conftest.Path"}, nn.Module)


class Own(nn.ReLU):
    """Class of a package that is not trusted."""


def test_a_missing_package_is_reported():
    with trusting("nowhere"), pytest.raises(ConfigError, match=r"there is no nowhere\.Net: .*on PYTHONPATH"):
        build({"_target_": "nowhere.Net"}, nn.Module)


def test_invalid_settings_are_reported_with_the_class():
    with pytest.raises(ConfigError, match=r"WingLoss: .*unexpected keyword argument 'depth'"):
        build(configure(WingLoss, depth=1), nn.Module)
    with pytest.raises(ConfigError, match="WingLoss: width and curvature are positive"):
        build(configure(WingLoss, width=0), nn.Module)


def test_trust_ends_with_its_block():
    with pytest.raises(ConfigError, match="is no Module"), trusting("os"):
        build({"_target_": "os.system"}, nn.Module)
    with trusting("os"):
        pass
    with pytest.raises(ConfigError, match="outside the trusted packages"):
        build({"_target_": "os.system"}, nn.Module)


class Keeping:
    """Class that keeps its arguments."""

    made = 0

    def __init__(self, **given):
        Keeping.made += 1
        self.given = given
        if isinstance(given.get("error"), Exception):
            raise given["error"]

    @classmethod
    def empty(cls):
        return cls()


INNER = configure(Keeping, size=3)


def test_nested_components_are_built_only_on_request():
    given = {"inner": INNER, "pair": (1, 2), "text": "${oc.env:HOME}"}
    with trusting("tests"):
        assert build(configure(Keeping, **given), Keeping).given == given
        made = build(configure(Keeping, list=[INNER]), Keeping, _nested=(Keeping,)).given["list"][0]
    assert (type(made), made.given) == (Keeping, {"size": 3})


def test_a_refused_nested_component_is_named_before_anything_is_built():
    outer = {"_target_": "torch.nn.Sequential", "parts": [configure(nn.ReLU), INNER]}
    before = Keeping.made
    with pytest.raises(ConfigError, match=r"^model\.parts\.1: tests.*Keeping is outside .* trust=tests"):
        build(outer, nn.Module, _key="model", _nested=(nn.Module,))
    outer["parts"][1] = configure(WingLoss)
    with pytest.raises(ConfigError, match=r"^model\.parts\.1: keypoints\.WingLoss is no ReLU or Sequential"):
        build(outer, nn.Module, _key="model", _nested=(nn.ReLU, nn.Sequential))
    assert Keeping.made == before


def test_the_callers_argument_replaces_a_setting_without_a_copy():
    given, before = [nn.ReLU(), (1, 2)], Keeping.made
    with trusting("tests"):
        made = build(configure(Keeping, given=INNER), Keeping, _nested=(object,), given=given)
    assert made.given["given"] is given
    assert Keeping.made == before + 1


def test_an_object_of_another_kind_is_refused_with_its_key():
    with trusting("tests"), pytest.raises(ConfigError, match=r"^data: tests.*Keeping is no Module"):
        build(configure(Keeping), nn.Module, _key="data", _nested=(object,))


def test_errors_of_a_constructor_name_the_key():
    for error, says in (
        (KeyError("x"), "^data: KeyError: 'x'$"),
        (ValueError("a\nb"), "^data: a b$"),
        (DataError("no face"), "^no face$"),
    ):
        with trusting("tests"), pytest.raises((ConfigError, DataError), match=says):
            build(configure(Keeping), Keeping, _key="data", _nested=(object,), error=error)
    with trusting("tests"), pytest.raises(KeyError):  # a bug in a network keeps its traceback
        build(configure(Keeping), Keeping, error=KeyError("x"))


def test_a_name_may_pass_through_classes_but_not_imported_modules():
    with trusting("tests", "collections"):
        assert find_class("tests.test_components.Keeping.empty", (object,), nested=True) == Keeping.empty
        assert find_class("collections.OrderedDict", (object,), nested=True) is collections.OrderedDict
        with pytest.raises(ConfigError, match="there is no tests"):
            find_class("tests.test_components.collections.OrderedDict", (object,), nested=True)


def test_importing_components_loads_neither_torch_nor_hydra():
    code = "import sys, keypoints.components; print({'torch', 'hydra', 'omegaconf'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
