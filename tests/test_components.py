import pytest
from torch import nn
from torch.optim import SGD, Optimizer

from keypoints import components
from keypoints.components import build, configure, trust, trusting
from keypoints.errors import ConfigError
from keypoints.losses import WingLoss


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
def test_only_known_classes_of_the_kind_asked_for_are_built(target, says):
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
    """A class of a package that is not trusted."""


def test_a_package_that_is_away_says_so():
    with trusting("nowhere"), pytest.raises(ConfigError, match=r"there is no nowhere\.Net: .*on PYTHONPATH"):
        build({"_target_": "nowhere.Net"}, nn.Module)


def test_settings_that_do_not_fit_name_the_class():
    with pytest.raises(ConfigError, match=r"WingLoss: .*unexpected keyword argument 'depth'"):
        build(configure(WingLoss, depth=1), nn.Module)
    with pytest.raises(ConfigError, match="WingLoss: width and curvature are positive"):
        build(configure(WingLoss, width=0), nn.Module)


def test_trust_is_kept_no_longer_than_its_block():
    with pytest.raises(ConfigError, match="is no Module"), trusting("os"):
        build({"_target_": "os.system"}, nn.Module)
    with trusting("os"):
        pass
    with pytest.raises(ConfigError, match="outside the trusted packages"):
        build({"_target_": "os.system"}, nn.Module)
