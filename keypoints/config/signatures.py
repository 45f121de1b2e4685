"""Parameters of a class, read from its source code without importing it, for fast help and error messages.

``torch`` and Lightning take seconds to import; their source files are parsed in milliseconds.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import MappingProxyType

from docstring_parser import DocstringStyle, ParseError, parse

from keypoints.config.settings import ANY, LIST, MAPPING, NUMBER, PATH, SWITCH, WHOLE, WORD
from keypoints.older_names import current_class

_LONGEST_CHAIN = 8
"""Largest number of imports that are followed from a public name to its class."""

_TYPES: Mapping[str, str] = {
    **{"int": WHOLE, "float": NUMBER, "bool": SWITCH, "str": WORD, "Path": PATH},
    **dict.fromkeys(("list", "List", "Sequence", "tuple", "Tuple", "Iterable"), LIST),
    **dict.fromkeys(("dict", "Dict", "Mapping"), MAPPING),
}

_SEE = ":class:`"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a class or function.

    Args:
        types: constants of :mod:`keypoints.config.settings`; includes ``ANY`` if a type is not known.
        optional: whether ``None`` is allowed.
        choices: words of a ``Literal``.
        sentence: description in the docstring's ``Args``.
        module: module of the class, or of the base class whose constructor it inherits.
    """

    types: frozenset[str]
    optional: bool
    choices: tuple[str, ...] = ()
    sentence: str = ""
    module: str = ""


@lru_cache(maxsize=256)
def parameters(target: str) -> Mapping[str, Parameter]:
    """Return the parameters of a class or function by name; empty if its source is not found.

    Args:
        target: dotted name as in a configuration, such as ``keypoints.ConvNet``.
    """
    found = _find(current_class(target))
    if found is None:
        return MappingProxyType({})
    module, node = found
    function = node
    if isinstance(node, ast.ClassDef):
        own = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        if not own:
            return _fields(module, node) if _is_dataclass(node) else _inherited(module, node)
        function = own[0]
    assert isinstance(function, ast.FunctionDef)
    descriptions = {**_sentences(module, node), **_sentences(module, function)}
    given = function.args
    defaults = dict(_defaults(given))
    taken = [each for each in (*given.posonlyargs, *given.args, *given.kwonlyargs) if each.arg != "self"]
    described = {each.arg: _parameter(each.annotation, defaults.get(each.arg)) for each in taken}
    return MappingProxyType(
        {
            name: replace(each, sentence=descriptions.get(name, ""), module=module)
            for name, each in described.items()
        }
    )


def _inherited(module: str, node: ast.ClassDef) -> Mapping[str, Parameter]:
    for base in node.bases:
        if (target := _target_of(module, base)) is not None and (taken := parameters(target)):
            return taken
    return MappingProxyType({})


def _target_of(module: str, base: ast.expr) -> str | None:
    """Return the dotted name of a base class, imported by its name or reached through a package."""
    if isinstance(base, ast.Name):
        return f"{module}.{base.id}"
    first, _, rest = ast.unparse(base).partition(".")
    path = _file_of(module)
    if not rest or path is None or not all(part.isidentifier() for part in rest.split(".")):
        return None
    imported = (node for node in ast.walk(_tree(path)) if isinstance(node, ast.Import))
    for alias in (alias for node in imported for alias in node.names):
        if (alias.asname or alias.name.partition(".")[0]) == first:
            return f"{alias.name if alias.asname else first}.{rest}"
    return None


def _is_dataclass(node: ast.ClassDef) -> bool:
    calls = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
    return any(_last_name(each) == "dataclass" for each in calls)


def _fields(module: str, node: ast.ClassDef) -> Mapping[str, Parameter]:
    """Return the arguments of a dataclass: fields of its bases, then its own; positional arguments first."""
    found: dict[str, tuple[Parameter, bool]] = {}
    _add_fields(module, node, found)
    by_place = sorted(found, key=lambda name: found[name][1])
    return MappingProxyType({name: found[name][0] for name in by_place})


def _add_fields(module: str, node: ast.ClassDef, found: dict[str, tuple[Parameter, bool]]) -> None:
    """Add the fields of a class and its bases: each argument, and whether it is keyword-only."""
    for base in reversed(node.bases):
        target = _target_of(module, base)
        place = None if target is None else _find(target)
        if place is not None and isinstance(place[1], ast.ClassDef):
            _add_fields(place[0], place[1], found)
    if not _is_dataclass(node):
        return
    descriptions_here = _sentences(module, node)
    by_keyword = any(_argument(each, "kw_only") is True for each in node.decorator_list)
    for each in node.body:
        if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
            continue
        if _last_name(each.annotation) == "ClassVar" or _argument(each.value, "init") is False:
            continue
        name, annotation = each.target.id, each.annotation
        if isinstance(annotation, ast.Subscript) and _last_name(annotation.value) == "InitVar":
            annotation = annotation.slice
        default = each.value
        if isinstance(default, ast.Call):
            default = next((given.value for given in default.keywords if given.arg == "default"), None)
        before = found.get(name)
        sentence = descriptions_here.get(name) or (before[0].sentence if before else "")
        its = replace(_parameter(annotation, default), sentence=sentence, module=module)
        keyword = _argument(each.value, "kw_only")
        found[name] = (its, by_keyword if keyword is None else bool(keyword))


def _argument(call: ast.expr | None, name: str) -> object:
    """Return the constant value of a call's keyword argument; ``None`` if there is none."""
    given = call.keywords if isinstance(call, ast.Call) else []
    return next(
        (each.value.value for each in given if each.arg == name and isinstance(each.value, ast.Constant)),
        None,
    )


def _defaults(given: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    positional = (*given.posonlyargs, *given.args)
    with_default = positional[len(positional) - len(given.defaults) :]
    yield from zip((each.arg for each in with_default), given.defaults, strict=True)
    for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        if default is not None:
            yield each.arg, default


def _find(target: str, steps: int = _LONGEST_CHAIN) -> tuple[str, ast.ClassDef | ast.FunctionDef] | None:
    """Return the module that defines a class or function, and the definition."""
    module, _, name = target.rpartition(".")
    path = _file_of(module)
    if path is None or steps == 0:
        return None
    for node in _tree(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            source = _source(node, module, path)
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _find(f"{source}.{alias.name}", steps - 1)
                if alias.name == "*" and (found := _find(f"{source}.{name}", steps - 1)) is not None:
                    return found
    return None


def _source(node: ast.ImportFrom, module: str, path: Path) -> str:
    """Return the absolute name of the module in an import, which may be relative."""
    if not node.level:
        return node.module or ""
    up = node.level - 1 if path.stem == "__init__" else node.level
    parts = module.split(".")
    return ".".join([*parts[: len(parts) - up], *filter(None, [node.module])])


@lru_cache(maxsize=256)
def _file_of(module: str) -> Path | None:
    """Return the file of a module without importing it; the stub of a package if there is one."""
    first, *rest = module.split(".")
    try:
        spec = PathFinder.find_spec(first)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    for part in rest:
        folder = path.parent
        path = folder / part / "__init__.py"
        if not path.is_file():
            path = folder / f"{part}.py"
    stub = path.with_suffix(".pyi") if path.stem == "__init__" else path
    return next((each for each in (stub, path) if each.is_file() and each.suffix != ".so"), None)


@lru_cache(maxsize=64)
def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _parameter(annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    types, choices = _types(annotation)
    by_default = isinstance(default, ast.Constant) and default.value is None
    return Parameter(types - {"null"} or frozenset({ANY}), "null" in types or by_default, choices)


def _types(node: ast.expr | None) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the types in an annotation, ``"null"`` for ``None``, and the words of a ``Literal``."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return _types(_parsed(node.value))
        return frozenset({"null"} if node.value is None else {ANY}), ()
    if isinstance(node, ast.BinOp):
        return _joined([node.left, node.right])
    if isinstance(node, ast.Subscript):
        return _types_of_generic(node)
    return frozenset({_TYPES.get(_last_name(node), ANY)}), ()


def _parsed(annotation: str) -> ast.expr | None:
    """Return a quoted annotation as an expression; ``None`` if it cannot be parsed."""
    try:
        return ast.parse(annotation, mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _types_of_generic(node: ast.Subscript) -> tuple[frozenset[str], tuple[str, ...]]:
    outer = _last_name(node.value)
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer == "Literal":
        words = [each.value for each in inside if isinstance(each, ast.Constant)]
        if len(words) < len(inside) or not all(isinstance(word, str) for word in words):
            return frozenset({ANY}), ()
        return frozenset({WORD}), tuple(map(str, words))
    if outer in ("Union", "Optional"):
        types, choices = _joined(inside)
        return (types | {"null"} if outer == "Optional" else types), choices
    return frozenset({_TYPES.get(outer, ANY)}), ()


def _joined(nodes: list[ast.expr]) -> tuple[frozenset[str], tuple[str, ...]]:
    parts = [_types(each) for each in nodes]
    any_word = any(WORD in types and not words for types, words in parts)
    choices = () if any_word else tuple(word for _, words in parts for word in words)
    types = frozenset().union(*(types for types, _ in parts))
    types -= {WORD} if PATH in types else set()
    return types, choices if not types - {WORD, "null"} else ()


def _last_name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _sentences(module: str, node: ast.ClassDef | ast.FunctionDef) -> dict[str, str]:
    """Return the description of each argument in a docstring, or in the class that it refers to.

    A description that begins with "as" and names another class is replaced by that class's description.
    """
    try:
        documented = parse(ast.get_docstring(node) or "", DocstringStyle.GOOGLE).params
    except ParseError:
        return {}
    descriptions: dict[str, str] = {}
    for each in documented:
        said = (each.description or "").partition("\n\n")[0]
        for name in (name.strip() for name in each.arg_name.split(",")):
            descriptions[name] = (
                _description_elsewhere(module, node, name, said) if said.startswith("as ") else said
            )
    return {name: " ".join(said.replace("``", "").split()) for name, said in descriptions.items()}


def _description_elsewhere(module: str, node: ast.ClassDef | ast.FunctionDef, name: str, said: str) -> str:
    """Return the description of an argument in the class that the docstring refers to."""
    other = said.partition(_SEE)[2].partition("`")[0].removeprefix("~")
    if not other or other == node.name:
        return said
    target = other if "." in other else f"{module}.{other}"
    return parameters(target)[name].sentence if name in parameters(target) else said
