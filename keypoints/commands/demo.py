"""``keypoints demo``: a page to try a model in the browser."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from keypoints.commands.verb import PLAIN, OfModel, Verb
from keypoints.config.settings import Hosts, defaults_list, setting


@dataclass
class Demo(OfModel):
    """Settings of ``keypoints demo``."""

    defaults: list[Any] = defaults_list(*PLAIN)
    host: str = setting("127.0.0.1", "Address to listen on: this machine alone; 0.0.0.0: all who reach it.")
    port: int = setting(7860, "Port; 0: any that is free.", at_least=0, at_most=65535)
    allowed_hosts: Hosts = setting(
        None, "Further names in the address (SSH tunnels, notebooks, proxies): 'a,b'; '*': any."
    )
    max_megabytes: float = setting(20, "Size of a photo's file; larger ones are refused.", above=0)
    max_megapixels: float = setting(
        50, "Size of a photo; larger ones are refused before they are decoded.", above=0
    )
    open: bool = setting(False, "Open the page in your browser.")


def run(cfg: DictConfig) -> None:
    """Serve a page to try a model."""
    from keypoints.demo.page import demo

    demo(cfg)


VERB = Verb(
    name="demo",
    what="serve a page to try a model in the browser",
    schema=Demo,
    run=run,
    positional="checkpoint",
    examples=(
        "demo outputs/nose_tip/2026-01-31_12-00-00 open=true",
        "demo model.onnx port=0",
        "demo model.onnx host=0.0.0.0 allowed_hosts=box.example.org",
    ),
    writes="nothing: a photo is held in memory until it is answered",
)
