"""Networks: plain modules that map images to numbers and contain no training code.

To add a network, write an ``nn.Module`` in a new file of this package. Its constructor takes
``input_size`` (width, height), ``in_channels``, ``out_features`` and its own settings, and raises
:class:`ValueError` for invalid settings. It maps (B, C, H, W) to (B, out_features). Then reference it
in ``conf/model/<name>.yaml``.
"""
