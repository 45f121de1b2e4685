"""Loggers that keep what they receive, or fail."""

from typing import ClassVar

from pytorch_lightning.loggers import Logger


class Plain(Logger):
    """Logger with the methods that every logger has."""

    def __init__(self, save_dir=None):
        super().__init__()
        self.metrics, self.values, self.ended = [], [], []

    @property
    def name(self):
        return "plain"

    @property
    def version(self):
        return "1"

    def log_metrics(self, metrics, step=None):
        self.metrics.append((step, dict(metrics)))

    def log_hyperparams(self, params):
        self.values.append(dict(params))

    def finalize(self, status):
        self.ended.append(status)


class Recorder(Plain):
    """Logger that also takes pictures and texts, by the methods of Weights & Biases' logger."""

    made: ClassVar[list["Recorder"]] = []

    def __init__(self, save_dir=None):
        super().__init__()
        self.pictures, self.texts = [], []
        self.made.append(self)

    def log_image(self, key, images, step=None):
        self.pictures.append((step, key, *images))

    def log_text(self, key, columns, data):
        self.texts.append((key, columns, data))


class Failing(Recorder):
    """Logger whose server stops to answer after the first call."""

    def log_metrics(self, metrics, step=None):
        super().log_metrics(metrics, step)
        if len(self.metrics) > 1:
            raise ConnectionError("no\nanswer")


class Unreachable(Plain):
    """Logger whose server never answers."""

    @property
    def experiment(self):
        raise ConnectionError("no answer")
