import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
METHODS = {"gefu", "gens", "neuray_mrvm", "idnerf", "xscale_nvs"}
OURS = METHODS | {"common", "tools", "tests", "benchmarks"}
DRAWERS = {"utils", "misc", "helpers", "base_utils"}


def sources():
    folders = ["common", "tools", "benchmarks", *sorted(METHODS)]
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def allowed(owner: str) -> set[str]:
    if owner in METHODS:
        return {"common", owner}
    if owner == "common":
        return {"common"}
    return {"common"} | METHODS  # tools and benchmarks speak to the core and to the methods' public functions


def imported(path: Path) -> list[tuple[int, str, int]]:
    tree = ast.parse(path.read_text(encoding="utf8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.module or "", node.level))
    return found


def test_every_import_points_the_way_the_house_allows():
    wrong = []
    for path in sources():
        owner = path.relative_to(ROOT).parts[0]
        for line, module, level in imported(path):
            top = module.split(".")[0]
            if level or (top in OURS and top not in allowed(owner)):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {'.' * level}{module}")
    assert not wrong, "\n".join(wrong)


def test_files_and_functions_keep_their_size():
    wrong = []
    for path in sources():
        text = path.read_text(encoding="utf8")
        if len(text.splitlines()) > 400:
            wrong.append(f"{path.relative_to(ROOT)} has {len(text.splitlines())} lines, more than 400")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 60:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} is longer than 60 lines")
    assert not wrong, "\n".join(wrong)


def test_there_are_no_drawer_modules():
    assert not [str(path) for path in sources() if path.stem in DRAWERS]


@pytest.mark.parametrize(
    "habit", ["sys.path.insert", "sys.path.append", "import *", ".cuda()", "os.system", "yaml.load("]
)
def test_refused_habits_do_not_come_back(habit):
    assert not [str(path.relative_to(ROOT)) for path in sources() if habit in path.read_text(encoding="utf8")]


def test_checkpoints_are_only_read_with_weights_only():
    wrong = []
    for path in sources():
        for number, line in enumerate(path.read_text(encoding="utf8").splitlines(), 1):
            if "torch.load(" in line and "weights_only=True" not in line:
                wrong.append(f"{path.relative_to(ROOT)}:{number}")
    assert not wrong, "\n".join(wrong)
