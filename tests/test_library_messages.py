import logging
import subprocess
import sys

import pytest

from keypoints.library_messages import hide_advertisements

SCRIPT = """
import sys
import keypoints, warnings
from pytorch_lightning import Trainer
assert "torch" in sys.modules
trainer = Trainer(max_epochs=1, accelerator="cpu", default_root_dir=sys.argv[1])
warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated, use", FutureWarning)
warnings.warn("your own", FutureWarning)
"""


def test_a_plain_trainer_advertises_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if "Warning:" in line] == [
        "<string>:8: FutureWarning: your own"
    ]
    assert all(word not in done.stderr for word in ("💡", "available:", "LeafSpec"))


@pytest.mark.parametrize(
    ("level", "message", "shown"),
    [
        (logging.INFO, "💡 Tip: try installing another product", False),
        (logging.INFO, "GPU available: False, used: False", False),
        (logging.INFO, "`Trainer.fit` stopped: `max_epochs=2` reached.", True),
        (logging.WARNING, "GPU available: but not used", True),
    ],
)
def test_only_advertisements_of_lightning_are_hidden(caplog, level, message, shown):
    hide_advertisements()
    logger = "pytorch_lightning.utilities.rank_zero"
    with caplog.at_level(logging.INFO, logger):
        logging.getLogger(logger).log(level, message)
    assert caplog.messages == [message] * shown


@pytest.mark.parametrize(("message", "shown"), [("generated new fontManager", False), ("Font missing", True)])
def test_the_first_figure_of_a_machine_is_no_news(caplog, message, shown):
    hide_advertisements()
    with caplog.at_level(logging.INFO, "matplotlib.font_manager"):
        logging.getLogger("matplotlib.font_manager").info(message)
    assert caplog.messages == [message] * shown
