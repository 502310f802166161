"""One job's dealings with memory: what it gives up when memory runs out, and what it tells the artist in the end."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Final, TypeVar

from pentimento_shared.geometry import Size

from .interrupting import interruptible
from .loading import LoadedModel
from .memory import NoRungLeft, Rung, Tiles, climb_down, fitting
from .models import ModelInfo
from .offload import DEVICES, offload, takes_turns
from .request import OutOfMemory, Stage
from .upscale import Tiling

T = TypeVar("T")

TILED: Final = (
    "Memory ran short, so the VAE worked tile by tile. The picture may differ by a hair from one made in one piece."
)
SMALLER_TILES: Final = (
    "Memory ran short, so the upscaler worked in smaller tiles. The picture may differ by a hair from the usual one."
)
OFFLOADED: Final = "Memory ran short, so the model's parts took turns on the device: the same picture, more slowly."


class Thrift:
    """Does a job's work stage by stage, with less memory where it must be, and so that a cancel is soon obeyed.

    `model` is the model in memory, if any; `take_turns` lets the parts of the next one take turns on the device. `ran`
    has the largest area (px) that each model has run at; it outlives the job. `tiling` is that of the job's upscaler.
    """

    def __init__(
        self,
        info: ModelInfo,
        work: Size,
        *,
        model: Callable[[], LoadedModel | None],
        free_caches: Callable[[], None],
        take_turns: Callable[[], bool],
        ran: MutableMapping[str, int],
        tell: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._info, self._work, self._ran = info, work, ran
        self._model, self._free_caches, self._tell, self._check = model, free_caches, tell, check
        self._told_of_turns = False
        self._together, self._alone = 1, False
        self._tiles = Tiles()
        self.tiling = Tiling()
        self._rungs = (
            Rung(("load", "encode", "sample", "decode"), self._free),
            Rung(("encode",), self.tiling.shrink, SMALLER_TILES),
            Rung(("encode",), self.tiling.shrink),
            Rung(("encode",), self.tiling.shrink),
            Rung(("sample", "decode"), self._one_by_one),
            Rung(("encode", "decode"), self._tile, TILED),
            Rung(("load",), take_turns),
            Rung(("encode", "sample", "decode"), self._offload, OFFLOADED),
        )

    def do(self, stage: Stage, work: Callable[[], T]) -> T:
        """`work()`, which must be such that it can be done again from its beginning. Raises OutOfMemory."""
        try:
            if stage == "sample" and not self._slow():  # a cancel is looked for after each step
                return climb_down(self._rungs, stage, work, self._tell)
            with interruptible(self._check):
                done = climb_down(self._rungs, stage, work, self._tell)
        except NoRungLeft as error:
            raise self._too_large(stage, error.reason) from None
        if stage == "load":
            self._tell_of_turns()
        if stage == "decode":
            self._ran[self._info.id] = max(self._ran.get(self._info.id, 0), self._work.area)
        return done

    def in_parts(self, stage: Stage, batch: range, work: Callable[[range], T]) -> list[T]:
        """`work` of all pictures of a batch at once, or of one after the other where memory does not allow that.

        Raises OutOfMemory.
        """
        self._together = len(batch)
        return self.do(stage, lambda: [work(part) for part in self._parts(batch)])

    def _parts(self, batch: range) -> list[range]:
        return [range(k, k + 1) for k in batch] if self._alone else [batch]

    def _slow(self) -> bool:
        """Whether a step takes so long that what asking between its operations costs is nothing beside it."""
        model = self._model()
        return model is None or model.device.type == "cpu"

    def end(self) -> None:
        """Leaves the model as it was before the job."""
        self._tiles.undo()

    def _tell_of_turns(self) -> None:
        model = self._model()
        if not self._told_of_turns and model is not None and takes_turns(model.components):
            self._told_of_turns = True
            self._tell(OFFLOADED)

    def _free(self) -> bool:
        self._free_caches()
        return True

    def _one_by_one(self) -> bool:
        if self._alone or self._together == 1:
            return False
        self._alone = True
        return True

    def _tile(self) -> bool:
        model = self._model()
        return model is not None and self._tiles.take(model.components["vae"], self._work)

    def _offload(self) -> bool:
        model = self._model()
        return model is not None and model.device.type in DEVICES and offload(model.components, model.device)

    def _too_large(self, stage: Stage, reason: str) -> OutOfMemory:
        name, work = self._info.id, self._work
        if stage == "load":
            detail = f"There is not enough memory for the model {name} ({reason})."
            return OutOfMemory(f"{detail} Close other programs, or choose a smaller model.")
        size = fitting(work, self._ran.get(name), self._info.multiple)
        at = f"There is not enough memory to work at {work.width} x {work.height} px with {name} ({reason})."
        if size is None:
            return OutOfMemory(f"{at} Close other programs, or choose a smaller model.")
        known = "has worked before" if self._ran.get(name, work.area) < work.area else "may fit"
        shown = f"{size.width} x {size.height} px"
        detail = f"{at} {shown} {known}: choose that size, or select a smaller part of the picture."
        return OutOfMemory(detail, allowed=f"at most {shown}")
