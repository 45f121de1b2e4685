"""``keypoints demo``: web page to try a model in the browser."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from keypoints.commands.verb import PLAIN, Detecting, OfModel, Providing, Refining, Verb
from keypoints.config.settings import Hosts, defaults_list, setting


@dataclass
class Demo(Refining, Detecting, Providing, OfModel):
    """Settings of ``keypoints demo``."""

    defaults: list[Any] = defaults_list(*PLAIN)
    host: str = setting(
        "127.0.0.1",
        "Address to listen on; 127.0.0.1: only this machine; 0.0.0.0: all machines of the network.",
    )
    port: int = setting(7860, "Port; 0: any free port.", at_least=0, at_most=65535)
    allowed_hosts: Hosts = setting(
        None, "Further host names of the page (SSH tunnels, notebooks, proxies): 'a,b'; '*': any."
    )
    max_megabytes: float = setting(20, "Largest size of a photo's file, in megabytes.", above=0)
    max_megapixels: float = setting(
        50, "Largest size of a photo, in megapixels; checked before the photo is decoded.", above=0
    )
    open: bool = setting(False, "Open the page in your browser.")


def run(cfg: DictConfig) -> None:
    """Serve a web page to try a model."""
    from keypoints.demo.page import demo

    demo(cfg)


VERB = Verb(
    name="demo",
    what="serve a web page to try a model in the browser",
    doing="serving a page to try",
    schema=Demo,
    run=run,
    positional="checkpoint",
    examples=(
        "demo outputs/nose_tip/2026-01-31_12-00-00 open=true",
        "demo model.onnx port=0",
        "demo model.onnx host=0.0.0.0 allowed_hosts=box.example.org",
    ),
    writes="nothing: a photo is only kept in memory until its answer is sent",
)
