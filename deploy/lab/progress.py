"""Shows how far a delivery is: bars on a terminal, else one line a stage."""

import sys

STAGES = ("receive", "assemble", "compress", "seal", "submit", "notify", "pulled")
# The journal's state is the last stage done.
STATES = ("received", "assembled", "compressed", "sealed", "submitted", "notified", "pulled")
BAR_CHARACTERS = 32


class Progress:
    """Call `show` with each report; it prints what is new."""

    def __init__(self, instances: int):
        self.instances = instances
        self.shown = 0
        self.is_terminal = sys.stdout.isatty()

    def show(self, delivery: dict) -> None:
        done = stages_done(delivery)
        for stage in STAGES[self.shown : done]:
            self._finish(stage, delivery)
        self.shown = max(self.shown, done)
        if self.is_terminal and done < len(STAGES):
            self._draw(STAGES[done], delivery)

    def _finish(self, stage: str, delivery: dict) -> None:
        seconds = delivery["seconds"].get(stage)
        time = f"{seconds:8.2f} s" if seconds is not None else ""
        bar = "█" * BAR_CHARACTERS if self.is_terminal else "done"
        print(f"{_return(self.is_terminal)}  {stage:<9} {bar} {time}", flush=True)

    def _draw(self, stage: str, delivery: dict) -> None:
        part = self._part(stage, delivery)
        filled = int(part * BAR_CHARACTERS)
        bar = "█" * filled + "░" * (BAR_CHARACTERS - filled)
        count = f"{delivery['instances']} of {self.instances}" if stage == "receive" else ""
        print(f"{_return(True)}  {stage:<9} {bar} {count}", end="", flush=True)

    def _part(self, stage: str, delivery: dict) -> float:
        if stage == "receive":
            return min(1.0, delivery["instances"] / self.instances)
        if stage == "submit" and delivery.get("pieces"):
            return min(1.0, delivery.get("accepted_parts", 0) / (delivery["pieces"] + 1))
        return 0.0


def stages_done(delivery: dict) -> int:
    """How many stages are behind it. In the state `received` instances still arrive."""
    state = delivery["state"]
    return STATES.index(state) + 1 if state in STATES[1:] else 0


def _return(is_terminal: bool) -> str:
    return "\r\x1b[K" if is_terminal else ""
