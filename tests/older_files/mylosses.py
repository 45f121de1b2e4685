import torch


class Own(torch.nn.Module):
    def __init__(self, power=2.0):
        super().__init__()
        self.power = power

    def forward(self, predictions, targets):
        return (predictions - targets).abs().pow(self.power).mean()
