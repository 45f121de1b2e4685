"""Plain networks: images in, numbers out, no training in them.

To add one: write an ``nn.Module`` in a file here whose constructor takes ``input_size`` (width,
height), ``in_channels`` and ``out_features`` besides its own settings, raises :class:`ValueError`
for settings that cannot work, and maps (B, C, H, W) to (B, out_features). Then name it in
``conf/model/<name>.yaml``.
"""
