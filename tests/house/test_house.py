"""The rules of the house, held by tests: who may import whom, sizes, words in both languages, documents in step."""

from __future__ import annotations

import ast
import sys
import tomllib
import unicodedata
from pathlib import Path
from string import Formatter

import pytest

from ops import catalog, policy, words
from ops.duty import Check

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = catalog.DOMAINS
OURS = ("ops", *DOMAINS)
SEES_ALL = ("ops/catalog.py", "ops/cli/")
MAY = {"playbooks": ("playbooks", "backup", "accounts")}
LONG_FILES: dict[str, str] = {}
BARE = {"ops/verifier.py": "an outsider reads it whole: under 150 lines, its remarks stand beside the code"}
HERE, HOST = "".join(("/work", "/main")), "".join(("pypi", ".org"))
FILES = sorted(path.relative_to(ROOT) for folder in OURS for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> list[tuple[str, str]]:
    """(module, name) for every import statement of a file, wherever it stands."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_keep_to_the_rooms(path: Path) -> None:
    home = path.parts[0]
    for module, name in imports(path):
        top = module.partition(".")[0]
        if top not in OURS:
            continue
        if home == "ops":
            if not str(path).startswith(SEES_ALL):
                assert top == "ops", f"the kernel names no domain: {path} imports {module}"
            continue
        if top == "ops":
            assert module == "ops" and name, f"{path}: take {name or module} from the shelf: from ops import …"
        else:
            assert top in MAY.get(home, (home,)), f"{path}: {home} may not import {module}"


def test_the_rule_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "x.py"
    bad.write_text("from ops.store import Store\nimport backup.restic\n")
    assert imports(bad) == [("ops.store", "Store"), ("backup.restic", "")]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_files_and_functions_stay_small(path: Path) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    if str(path) not in LONG_FILES:
        assert len(source.splitlines()) <= 400, f"{path} is past 400 lines: split it, or give a reason in LONG_FILES"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            inner = [one for one in ast.walk(node) if one is not node and isinstance(one, ast.FunctionDef)]
            nested = sum(
                (one.end_lineno or 0) - min([one.lineno, *(d.lineno for d in one.decorator_list)]) for one in inner
            )
            length = (node.end_lineno or first) - first + 1 - nested  # a nested function answers for its own lines
            assert length <= 60, f"{path}:{first}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_public_things_have_docstrings(path: Path) -> None:
    if str(path) in BARE:
        return
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    bare = "" if ast.get_docstring(tree) or not tree.body else f"{path} has no docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            bare = bare or ("" if ast.get_docstring(node) else f"{path}:{node.lineno}: {node.name} has no docstring")
    assert not bare, bare


def sayings() -> list[tuple[Path, ast.Call, str, str]]:
    """Every call of say() or fault() with two literal texts."""
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("say", "fault"):
                texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
                if len(texts) == 2:
                    found.append((path, node, str(texts[0]), str(texts[1])))
    return found


def test_every_saying_is_in_both_languages_and_its_places_are_filled() -> None:
    found = sayings()
    assert len(found) > 100
    for path, node, vi, en in found:
        where = f"{path}:{node.lineno}"
        assert bool(vi) == bool(en), f"{where}: one language is empty"
        assert unicodedata.is_normalized("NFC", vi), f"{where}: not NFC"
        given = {keyword.arg for keyword in node.keywords}
        if given and None not in given:
            holes = {hole for text in (vi, en) for _, hole, _, _ in Formatter().parse(text) if hole is not None}
            assert holes <= given, f"{where}: nothing fills {holes - given}"


def test_words_have_the_same_keys_in_both_languages() -> None:
    assert words.keys("vi") == words.keys("en")
    assert all(words.word(key, lang) for key in words.keys("vi") for lang in words.LANGUAGES)


def test_every_duty_is_fit() -> None:
    duties = catalog.load().duties
    known = {clause.id for one in policy.ids() for clause in policy.load(one).clauses}
    assert len(duties) >= 15
    for duty in duties.values():
        assert set(duty.clauses) <= known, f"{duty.name}: unknown clause {set(duty.clauses) - known}"
        first = duty.doc.splitlines()[0]
        assert first.endswith("?") if isinstance(duty, Check) else first.endswith("."), f"{duty.name}: {first!r}"


def test_policy_audit_finds_no_orphan() -> None:
    audit = policy.check([policy.load(one) for one in policy.ids()], catalog.load().duties)
    assert audit.sound, (audit.orphans, audit.strays)


def test_loading_the_catalog_loads_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys, ops.catalog; ops.catalog.load(); ops.catalog.settings();"
        "print([m for m in ('pycurl','psutil','dns','sqlalchemy','docx','typst','matplotlib','fabric','starlette',"
        "'uvicorn','alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_documents_name_every_verb_and_duty() -> None:
    text = (ROOT / "ops" / "README.md").read_text(encoding="utf-8")
    from ops.cli.app import VERBS

    for verb in VERBS:
        assert f"gaccong {verb}" in text, f"ops/README.md does not tell of gaccong {verb}"
    for folder in DOMAINS:
        page = (ROOT / folder / "README.md").read_text(encoding="utf-8")
        for duty in catalog.load().duties.values():
            if duty.domain == folder:
                assert duty.name in page, f"{folder}/README.md does not tell of {duty.name}"


def test_nothing_names_this_machine_or_a_registry() -> None:
    import subprocess

    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    ).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".lock", ".typ", ".html", "") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert HERE not in text and HOST not in text, name


def test_version_is_one() -> None:
    import ops

    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert data["project"]["version"] == ops.__version__


def test_the_readmes_example_is_a_check_that_answers_its_clause(tmp_path: Path) -> None:
    import importlib.util

    text = (ROOT / "ops" / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    name = "monitoring.checks.example_of_the_readme"
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, tmp_path / "example.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [duty] = catalog.duties_of(module)
    audit = policy.check([policy.load(one) for one in policy.ids()], {**catalog.load().duties, duty.name: duty})
    assert audit.sound and duty.name not in {name for name, _ in audit.unbuilt}
