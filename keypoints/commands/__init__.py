"""Verbs of the command line, one module per verb: schema, function, help. Imports no torch.

To add a verb, add a module with a ``VERB`` here, and add the module to :data:`VERBS`.
"""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from keypoints.commands import (
    bench,
    compare,
    data_convert,
    data_download,
    data_preview,
    data_shrink,
    data_synthesize,
    data_verify,
    demo,
    evaluate,
    export,
    predict,
    report,
    submit,
    train,
)
from keypoints.commands.verb import Paths, Verb
from keypoints.config.checks import as_typed
from keypoints.config.compose import composed
from keypoints.config.registry import Schema, register_schemas

VERBS: Mapping[str, Verb] = {
    module.VERB.name: module.VERB
    for module in (
        train,
        evaluate,
        predict,
        demo,
        export,
        submit,
        report,
        compare,
        bench,
        data_preview,
        data_synthesize,
        data_download,
        data_convert,
        data_shrink,
        data_verify,
    )
}
"""All verbs by name, in the order of the help."""

register_schemas(
    {
        verb.config: Schema(
            verb.schema,
            typed=verb.typed,
            optional_group=verb.optional_group,
            base=train.Train if train.Train in verb.schema.__mro__[1:] else None,
        )
        for verb in VERBS.values()
    },
    {("paths", "default"): Paths},
)


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Return the configuration of a verb with overrides, as the command line composes it.

    >>> compose("train", ["experiment=nose_tip", "optimizer.lr=1e-4"]).optimizer.lr
    0.0001

    Args:
        name: name of the verb's primary configuration, such as ``train``.
        overrides: overrides, as typed.

    Raises:
        ConfigError: if an override is invalid.
    """
    return composed(name, as_typed(name, overrides))
