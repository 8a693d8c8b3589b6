"""The KEY=VALUE words of ``im2rec import``."""

from __future__ import annotations

import dataclasses

from im2rec.params import check, param

FINE, COARSE, BOTH = "fine", "coarse", "both"
PYTHON, BINARY = "python", "binary"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportParams:
    """How the pictures of a set are stored."""

    encoding: str = param(
        ".png", doc="What the pictures are stored as.", choices=(".png", ".jpg"), reference="ours; .png loses nothing"
    )
    quality: int = param(95, doc="JPEG quality.", low=0, high=100, reference="ours; .jpg only")

    def __post_init__(self) -> None:
        if isinstance(self.encoding, str) and not self.encoding.startswith("."):
            object.__setattr__(self, "encoding", f".{self.encoding}")
        check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CifarParams(ImportParams):
    """What CIFAR, which is published in two versions, can be asked besides."""

    version: str = param(
        PYTHON, doc="cifar10: the version --download fetches.", choices=(PYTHON, BINARY), reference="ours"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cifar100Params(CifarParams):
    """What CIFAR-100, which has two labels a picture, can be asked besides."""

    label: str = param(
        FINE, doc="cifar100: the label stored; both: fine, then coarse.", choices=(FINE, COARSE, BOTH), reference="ours"
    )
