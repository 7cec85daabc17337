"""What a person sees of a stack, and that the stack does not depend on anybody looking."""

from __future__ import annotations

import io
import os

from sandbox.stack.state import ProcessState
from sandbox.stack.supervisor import Change
from services.ops.progress import Lines, meter_line, span_of


def _change(state: str, detail: str = "") -> Change:
    return Change(ProcessState(name="kafka", state=state, address="127.0.0.1:19092"), detail, 1.25)


def test_ready_process_is_shown_with_its_time_and_address() -> None:
    out = io.StringIO()

    Lines(out).show(_change("ready"))

    assert out.getvalue().split() == ["ready", "kafka", "1.2", "s", "127.0.0.1:19092"]


def test_death_is_shown_with_its_log_and_starting_is_not_shown() -> None:
    out = io.StringIO()
    lines = Lines(out)

    lines.show(_change("starting"))
    lines.show(_change("died", "kafka ended with signal SIGKILL; its log ends:\nlast words"))

    assert out.getvalue().splitlines()[-1] == "    last words"
    assert "starting" not in out.getvalue()


def test_closed_terminal_is_no_reason_to_fail() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as out:
        lines = Lines(out)

        lines.show(_change("ready"))
        lines.show(_change("stopped"))


def test_a_run_over_the_log_says_how_far_it_is_and_how_long_it_takes() -> None:
    assert meter_line("replay", 500, 1_500, 5.0) == "replay   25 %  500 events, 100 a second, 15 s left"
    assert "left" not in meter_line("replay", 0, 1_500, 5.0)
    assert span_of(125.4) == "2 min 5 s"
