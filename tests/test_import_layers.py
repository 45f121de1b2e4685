"""Rules for imports between the layers, from the command line down to errors and geometry."""

import ast
import functools
import re

from tests.conftest import ROOT

LAYERS = (
    {
        "_version",
        "confidence",
        "crop",
        "distributed",
        "errors",
        "file_kinds",
        "files",
        "formatting",
        "geometry",
        "input_files",
        "landmarks",
        "library_messages",
        "library_versions",
        "logs",
        "mean_face",
        "older_names",
        "process",
        "schemes",
        "stopping",
        "structured_files",
        "threads",
        "workers",
    },
    {"components", "config", "data", "drawing", "models"},
    {"datamodules", "tasks"},
    {"callbacks", "instantiate", "loggers", "runs"},
    {"benchmark", "datatools", "evaluation", "inference", "synthetic", "training"},
    {"demo", "reports"},
    {"commands"},
    {"__main__", "cli"},
)
"""Packages and flat modules of each layer, lowest layer first."""

WITHIN = {
    # 0
    "confidence": {"formatting", "geometry", "structured_files"},
    "crop": {"errors", "geometry"},
    "file_kinds": {"input_files"},
    "files": {"errors"},
    "geometry": {"errors"},
    "input_files": {"errors"},
    "mean_face": {"formatting"},
    "landmarks": {"errors", "formatting", "older_names"},
    "logs": {"errors"},
    "library_versions": {"_version"},
    "process": {"threads"},
    "schemes": {"errors", "formatting", "input_files", "landmarks", "structured_files"},
    "structured_files": {"errors", "input_files"},
    "workers": {"process"},
    # 1
    "models": {"components"},  # a network's encoder is a component
    # 3
    "callbacks": {"loggers", "runs"},
    "instantiate": {"callbacks", "loggers", "runs"},
    "loggers": {"runs"},
    # 4
    "benchmark": {"evaluation", "inference", "synthetic", "training"},  # made-up portraits to predict
    "evaluation": {"inference"},
    "inference": {"datatools", "synthetic"},  # a ready model is downloaded; made-up portraits check an export
    "training": {"evaluation"},  # a run ends with a measurement of its validation faces
    # 5
    "demo": {"reports"},
    # 7
    "__main__": {"cli"},
}
"""Imports that are allowed between packages of the same layer."""

KNOWN: dict[tuple[str, str], str] = {}
"""Imports (importing module, imported module) that still break a rule, and how they will be fixed."""

PLAIN = re.compile(r"data\.(readers|formats)\.\w+")
"""Modules that need none of the libraries of HEAVY."""
HEAVY = {"omegaconf", "psutil", "torch"}
LIGHT = re.compile(r"(__main__|cli|commands(\.\w+)?)")
"""Modules that have to be fast: they import the libraries of TORCH only when they are needed."""
TORCH = {"lightning_fabric", "pytorch_lightning", "torch", "torchmetrics", "torchvision"}
GENERIC = re.compile(r"data\.formats\.\w+|data\.readers\.labelled")
"""Modules that depend on no particular data set."""
OF_300W = "data.readers.ibug300w"
UNTESTED = {"errors", "data.face", "callbacks.pictures"}
"""Modules without behaviour to test."""
ALONE = ("commands.help", "commands.jobs", "commands.train", "commands.verb")
"""Modules of commands that have tests of their own."""


def name_of(path):
    """Return the dotted name of a module below ``keypoints``; ``""`` for the package itself."""
    parts = path.relative_to(ROOT / "keypoints").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted((ROOT / "keypoints").rglob("*.py"))}
PUBLIC = {
    alias.asname: f"{node.module}.{alias.name}"
    for node in ast.walk(ast.parse((ROOT / "keypoints/__init__.pyi").read_text(encoding="utf-8")))
    if isinstance(node, ast.ImportFrom) and node.level
    for alias in node.names
}
"""Public names, and the module that defines each."""


def is_late(node, parents):
    """Return whether an import runs after its module was imported, or only for a type checker."""
    while (node := parents.get(node)) is not None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return True
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return True
    return False


@functools.cache
def imports_of(name):
    """Return a module's imports: line, dotted name, whether it is late. Our modules begin with a dot."""
    path = FILES[name]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    package = ["keypoints", *(name.split(".") if path.stem == "__init__" else name.split(".")[:-1])]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len([part for part in package if part]) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            targets = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [(node.lineno, target, is_late(node, parents)) for target in targets]
    return list(dict.fromkeys((line, ours(target), late) for line, target, late in found))


def ours(target):
    """Return our module that an import refers to, with a dot before it; other names unchanged."""
    top, _, rest = target.partition(".")
    if top != "keypoints":
        return target
    first, _, other = rest.partition(".")
    if first in PUBLIC and first not in FILES:
        rest = f"{PUBLIC[first]}.{other}"
    while rest and rest not in FILES:
        rest = rest.rpartition(".")[0]
    return f".{rest}"


def part(name):
    """Return the package or flat module that contains a module."""
    return name.partition(".")[0]


def layer(name):
    """Return the number of a module's layer."""
    numbers = [number for number, names in enumerate(LAYERS) if part(name) in names]
    assert len(numbers) == 1, f"{name}: has no layer yet; add {part(name)} to LAYERS"
    return numbers[0]


def chain_to(name, is_target, *, late):
    """Return the chain of imports from a module to a target, if there is one; late ones count if ``late``."""
    chains = [(name,)]
    seen = {name}
    for chain in chains:
        end = chain[-1]
        parents = [".".join(end.split(".")[:length]) for length in range(1, end.count(".") + 1)]
        targets = [target for _, target, is_late in imports_of(end) if late or not is_late]
        for target in [*targets, *(f".{parent}" for parent in parents)]:
            if is_target(target) and (end, target.removeprefix(".")) not in KNOWN:
                return (*chain, target)
            if target.startswith(".") and target[1:] in FILES and target[1:] not in seen:
                seen.add(target[1:])
                chains.append((*chain, target[1:]))
    return None


def place(name):
    return FILES[name].relative_to(ROOT)


def described(chain):
    return " → ".join(each.lstrip(".") for each in chain)


def why_forbidden(name, target):
    """Return the rule that an import of another module of the package breaks, if it breaks one."""
    own, other = layer(name), layer(target)
    if part(name) == part(target) or other < own:
        return None
    if other > own:
        return f"{part(name)} is in layer {own}, {part(target)} in {other}: imports point downwards only"
    if part(target) in WITHIN.get(part(name), ()):
        return None
    return f"{part(name)} and {part(target)} are both in layer {own}, and WITHIN does not list this"


def test_imports_point_downwards():
    broken = [
        f"{place(name)}:{line}: imports {target[1:]}: {rule}"
        for name in filter(None, FILES)
        for line, target, _ in imports_of(name)
        if target.startswith(".") and target != "." and (name, target[1:]) not in KNOWN
        if (rule := why_forbidden(name, target[1:]))
    ]
    assert not broken, "\n".join(broken)


def chains(names, forbidden, late):
    """Return the shortest chain of imports to a forbidden module, of each module that has one."""
    found = [(name, chain_to(name, forbidden, late=late)) for name in FILES if names.fullmatch(name)]
    assert found
    return "\n".join(f"{place(name)}: {described(chain)}" for name, chain in found if chain is not None)


def test_readers_and_formats_need_no_heavy_library():
    broken = chains(PLAIN, lambda target: target.partition(".")[0] in HEAVY, late=False)
    assert not broken, f"{broken}\nreaders and formats import none of {', '.join(sorted(HEAVY))}"
    inside = [
        f"{place(name)}:{line}: imports {target} in a function"
        for name in filter(PLAIN.fullmatch, FILES)
        for line, target, _ in imports_of(name)
        if target.partition(".")[0] in HEAVY
    ]
    assert not inside, "\n".join(inside)


def test_the_command_line_imports_torch_late():
    broken = chains(LIGHT, lambda target: target.partition(".")[0] in TORCH, late=False)
    assert not broken, f"{broken}\ncli and commands import torch late"


def test_generic_readers_do_not_depend_on_300w():
    broken = chains(GENERIC, lambda target: target == f".{OF_300W}", late=True)
    assert not broken, f"{broken}\na generic reader or format depends on no data set"


def test_known_exceptions_are_still_needed():
    gone = [
        (name, target)
        for name, target in KNOWN
        if name not in FILES or f".{target.lstrip('.')}" not in [each for _, each, _ in imports_of(name)]
    ]
    assert not gone, f"remove these from KNOWN: {gone}"


def test_every_module_has_its_tests_in_the_same_place():
    missing = []
    for name in (name for name in FILES if name and not FILES[name].name.startswith("_")):
        if name.startswith("commands.") and name not in ALONE:
            continue  # schemas are tested together in test_verb, functions in their own packages
        path = FILES[name].relative_to(ROOT / "keypoints")
        mirrored = ROOT / "tests" / path.parent / f"test_{path.name}"
        if name not in UNTESTED and not mirrored.is_file():
            missing.append(f"{path}: its tests belong in {mirrored.relative_to(ROOT)}")
    assert not missing, "\n".join(missing)
