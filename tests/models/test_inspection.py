import torch
from torch import nn
from torchvision.models import mobilenet_v3_small, resnet18

from keypoints.models.convnet import ConvNet
from keypoints.models.inspection import cost_of, feature_maps, first_convolution


def test_the_first_convolution_is_found_by_order_not_by_name():
    net = ConvNet((80, 60), 1, 2)
    assert first_convolution(net) is net.features[0]
    resnet = resnet18()
    assert first_convolution(nn.ModuleDict({"relu": nn.ReLU(), "net": resnet})) is resnet.conv1
    mobile = mobilenet_v3_small()
    assert first_convolution(mobile) is mobile.features[0][0]


def test_a_network_with_another_first_layer_has_none():
    assert first_convolution(nn.Sequential(nn.Flatten(), nn.Linear(4, 4))) is None
    assert first_convolution(nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 3))) is None
    assert first_convolution(nn.ReLU()) is None


class Tripling(nn.Module):
    """Network that repeats a grey image three times before its first convolution."""

    first = nn.Conv2d(3, 4, 3)

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(self.first, nn.BatchNorm2d(4))

    def forward(self, images):
        return self.net(images.repeat(1, 3, 1, 1))


def test_computing_feature_maps_changes_no_statistics():
    net = Tripling().train()
    feature_maps(net, torch.rand(2, 1, 8, 8))
    assert net.net[1].num_batches_tracked == 0
    assert net.training


def test_feature_maps_are_the_output_of_the_first_convolution():
    net = ConvNet((80, 60), 1, 2)
    images = torch.rand(2, 1, 60, 80)
    assert torch.equal(feature_maps(net, images), net.features[0](images))
    assert not feature_maps(net, images).requires_grad
    assert torch.equal(feature_maps(Tripling(), images), Tripling.first(images.repeat(1, 3, 1, 1)))
    assert feature_maps(net.bfloat16(), images).dtype == torch.bfloat16
    assert feature_maps(nn.Sequential(nn.Flatten(), nn.Linear(4, 4)), images) is None


def test_the_cost_is_two_operations_for_each_product():
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 6 * 8, 2))
    net[0].bias.requires_grad_(False)
    cost = cost_of(net, torch.zeros(1, 1, 6, 8))
    assert cost.parameters == 4 * 9 + 4 + 2 * 192 + 2
    assert cost.trainable == cost.parameters - 4
    assert cost.flops == 2 * (4 * 9 * 48 + 192 * 2)


def test_counting_changes_neither_the_network_nor_random_numbers():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train()
    net[1].eval()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    cost_of(net, torch.rand(1, 1, 8, 8, generator=torch.Generator()))
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in net] == [True, False, True]
    assert net[1].num_batches_tracked == 0
