"""Tasks: LightningModules that do not depend on any data set. To add one, see ``base.py``.

A task may import networks (``models``), the type :class:`keypoints.Batch` of ``data``, ``components`` and the
modules of the lowest layer; no datamodule and no run folder. ``tests/test_import_layers.py`` checks it.
"""
