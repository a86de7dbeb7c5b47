"""The command line. `main` is the one place that turns an error into words and an exit code.

0 all met (or done and proved)   1 something broken      2 wrong use or configuration   3 something unseen
4 the ledger does not verify     5 a change failed or was not proved                    130 interrupted
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

GLOBAL_WITH_VALUE = ("--config", "--lang")
GLOBAL_FLAGS = ("--json",)


def hoist(argv: Sequence[str]) -> list[str]:
    """Moves `--json`, `--config F` and `--lang L` to the front, so that they may stand anywhere before a `--`."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for one in words:
        if one == "--":
            rest += [one, *words]
        elif one in GLOBAL_FLAGS or one.startswith(tuple(f"{name}=" for name in GLOBAL_WITH_VALUE)):
            front.append(one)
        elif one in GLOBAL_WITH_VALUE:
            front += [one, *[value for value in [next(words, None)] if value is not None]]
        else:
            rest.append(one)
    return front + rest


def language(argv: Sequence[str]) -> str:
    """The language for help and errors, before any configuration was read: --lang, else GACCONG_LANG, else vi."""
    for number, one in enumerate(argv):
        if one == "--lang" and number + 1 < len(argv):
            return "en" if argv[number + 1] == "en" else "vi"
        if one.startswith("--lang="):
            return "en" if one == "--lang=en" else "vi"
    return "en" if os.environ.get("GACCONG_LANG") == "en" else "vi"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives the exit code (also to the operating system, as an entry point)."""
    # no stranger's plugin is looked for in a process that may run as root; it also saves a tenth of the start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # a command makes a hundred thousand lasting objects while it starts; looking them over again and again costs a tenth
    gc.set_threshold(100_000)
    words = hoist(sys.argv[1:] if argv is None else argv)
    lang = language(words)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _run(words, lang)
    except KeyboardInterrupt:
        print({"vi": "đã dừng theo yêu cầu", "en": "interrupted"}[lang], file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(words: list[str], lang: str) -> int:
    import typer

    from ops.cli import placeholder
    from ops.cli.app import build
    from ops.errors import GaccongError

    try:
        placeholder.refuse(words)
        code = build(lang)(words, standalone_mode=False, prog_name="gaccong")
    except typer.Exit as error:
        return int(error.exit_code)
    except typer.Abort:
        return 130
    except GaccongError as error:
        _told(error.explain(lang), words)
        return error.exit_code
    except Exception as error:
        if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
            raise  # not one of the command line library's own usage errors
        _told(usage(error, lang), words)
        return 2
    return int(code or 0)


def _told(text: str, words: list[str]) -> None:
    """An error on stderr, safe for the terminal; the commands in it can be pasted as they stand."""
    from ops.cli.paste import configured, pasted
    from ops.cli.placeholder import filled
    from ops.cli.session import printable

    print(printable(pasted(filled(text, language(words)), configured(words))), file=sys.stderr)


def usage(error: Any, lang: str) -> str:
    """A usage error of the command line library in words, with the help that fits."""
    path = getattr(getattr(error, "ctx", None), "command_path", "") or "gaccong"
    param = getattr(error, "param", None)
    dashed = [one for one in getattr(param, "opts", ()) if one.startswith("--")]
    name = dashed[0] if dashed else str(getattr(param, "name", "") or getattr(error, "option_name", "")).upper()
    kind = type(error).__name__
    vi = {
        "MissingParameter": f"thiếu {name}",
        "NoSuchOption": f"không có tùy chọn {name.lower()}",
        "BadParameter": f"{name} không đúng: {getattr(error, 'message', '')}",
    }.get(
        kind, str(error.format_message()).replace("No such command", "không có lệnh").replace("Did you mean", "có phải")
    )
    en = str(error.format_message()) or f"missing {name}"
    return {"vi": f"gõ sai lệnh: {vi}\n  → {path} --help", "en": f"wrong use: {en}\n  → {path} --help"}[lang]


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
