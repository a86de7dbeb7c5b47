"""Carries out single steps of a plan, and takes them back. Knows nothing of ledgers or proofs."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import GaccongError, PlanRefused
from ops.model import FileWrite, Step, Text, say
from ops.run import STOPPED, TIMED_OUT, Command, Result, Runner
from ops.secrets import Secret

Watch = Callable[[Step, str], None]


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step went. `answer`: the last JSON object that it printed, when the step asks to keep it."""

    step: Step
    done: bool
    code: int
    seconds: float
    answer: Any
    trouble: Text

    def json(self) -> dict[str, Any]:
        """As an outcome line keeps it."""
        return {
            "why": self.step.why.json(),
            "code": self.code,
            "seconds": round(self.seconds, 3),
            "answer": self.answer,
            **({} if self.done else {"trouble": self.trouble.json()}),
        }


@dataclass(frozen=True)
class Carrier:
    """Runs steps with these runners and secrets. explain: the change's own words for a failed step."""

    ask: Callable[[str], Runner]
    secret: Callable[[str], Secret]
    watch: Watch | None = None
    explain: Callable[[Step, Result], Text | None] | None = None

    def carry_out(self, step: Step) -> StepResult:
        """Does one step; failure is a value, not an exception (Ctrl-C passes through)."""
        started = time.monotonic()
        try:
            if step.file:
                self._write(step, step.file)
                return StepResult(step, True, 0, time.monotonic() - started, None, Text("", ""))
            return self._run(step)
        except GaccongError as error:
            return StepResult(step, False, -1, time.monotonic() - started, None, error.what)
        except OSError as error:
            text = say("{e}", "{e}", e=f"{error.strerror or error} {error.filename or ''}".strip())
            return StepResult(step, False, -1, time.monotonic() - started, None, text)
        except Exception as error:  # whatever it is, what was begun must be taken back and told
            text = say("{e}", "{e}", e=f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace").decode())
            return StepResult(step, False, -1, time.monotonic() - started, None, text)

    def _run(self, step: Step) -> StepResult:
        secrets = {name: self.secret(reference) for name, reference in step.secrets.items()}
        command = Command(step.argv, feed=step.feed, env=step.env, secrets=secrets, timeout=step.timeout)
        result = self.ask(step.host).run(command, self._watcher(step))
        done = result.code in step.expect and result.feed_code == 0 and not result.cut
        answer = last_object(result.text) if step.keep else None
        said = None if done or self.explain is None else self.explain(step, result)
        return StepResult(step, done, result.code, result.seconds, answer, said or _trouble(result.code, result.trouble))

    def _watcher(self, step: Step) -> Callable[[str], None] | None:
        watch = self.watch
        return None if watch is None else lambda line: watch(step, line)

    def _write(self, step: Step, file: FileWrite) -> None:
        if step.host != "here":
            raise PlanRefused(say("chưa ghi tệp lên máy khác được", "cannot write files on another host yet"))
        write_file(Path(file.path), file.content.encode(), file.mode)


def _trouble(code: int, said: str) -> Text:
    if code == TIMED_OUT:
        return say("quá thời hạn; đã dừng. {said}", "past its time limit; ended. {said}", said=said)
    if code == STOPPED:
        return say("gaccong được lệnh dừng", "gaccong was told to stop")
    return say("mã thoát {code}. {said}", "exit code {code}. {said}", code=code, said=said)


def last_object(text: str) -> Any:
    """The last line that is a JSON object, or None."""
    for line in reversed(text.splitlines()):
        if line.lstrip().startswith("{"):
            with suppress(ValueError):
                return json.loads(line)
    return None


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Writes a file whole: a temporary sibling, fsync, rename. Nobody ever sees half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def undo_order(done: list[StepResult]) -> list[Step]:
    """The undo steps of what was begun, last first."""
    return [result.step.undo for result in reversed(done) if result.step.undo is not None]


def secret_names(steps: Mapping[str, str]) -> list[str]:
    """Names only, for a person's eyes."""
    return sorted(steps)
