"""Cost of a run's network: its ``network.json``, written before the training. Imports no torch."""

import json
from dataclasses import asdict, dataclass

from keypoints.errors import DataError
from keypoints.files import write_atomically
from keypoints.runs.run_folder import RunFolder
from keypoints.structured_files import COUNT, check_kinds, read_json


@dataclass(frozen=True)
class NetworkCost:
    """Contents of ``network.json``.

    Args:
        parameters: number of weights.
        trainable: number of weights that the training changes.
        flops: floating-point operations of a forward pass for one face; a multiplication with an addition
            counts as 2.
        width: width of the input, in pixels.
        height: height of the input, in pixels.
        channels: channels of the input.
    """

    parameters: int
    trainable: int
    flops: int
    width: int
    height: int
    channels: int


def write_network_cost(run: RunFolder, cost: NetworkCost) -> None:
    """Write the cost of a run's network into its folder.

    Args:
        run: folder of the run.
        cost: cost of its network.
    """
    write_atomically(run.network, json.dumps(asdict(cost), indent=2) + "\n")


def read_network_cost(run: RunFolder) -> NetworkCost | None:
    """Return the cost of a run's network; ``None`` for an older run without the file.

    Args:
        run: folder of the run.

    Raises:
        DataError: if the file is damaged.
    """
    names = NetworkCost.__dataclass_fields__
    try:
        said = read_json(run.network)
        check_kinds(said, dict.fromkeys(names, COUNT), needed=tuple(names))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{run.network}: {error}") from error
    return NetworkCost(**{name: said[name] for name in names})
