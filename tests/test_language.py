"""The language of the project: plain standard English, in the terms of the field."""

import ast
import functools
import inspect
import io
import itertools
import re
import textwrap
import tokenize

import keypoints
from tests.conftest import ROOT
from tests.docs.pages import PAGES

MODULES = sorted([*(ROOT / "keypoints").rglob("*.py"), *(ROOT / "docs").rglob("*.py")])
TEXTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "Makefile", "pyproject.toml")),
        *PAGES,
        *(ROOT / "results").rglob("*.md"),
        *(ROOT / "conf").rglob("*.yaml"),
    ]
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

NO_OPENING = re.compile(r"(What|Whether|How|Of|Where|When|Which|That|Those|Who)\b")
"""First words of a riddle; a docstring begins with an imperative or a noun phrase."""

PLAIN_WORDS = {
    r"\banew\b": "from scratch, again",
    r"\bbeside each other\b": "in parallel",
    r"\bone after the other\b": "sequentially",
    r"\bnamed wholes?\b": "a complete experiment configuration",
    r"\b(has|have|had|it|they|those it) met\b": "seen in training, training data",
    r"\b(begins?|began|begun) with the weights\b": "is initialised from",
    r"\blearns? from\b": "is trained on, supervised by",
    r"\bof before\b": "older",
    r"\blooked (for|at)\b": "predicted, localised, evaluated",
    r"\bmirror images?\b": "mirrored copy",
    r"\btwins?\b": "mirrored copy",
    r"\bstands? still\b": "plateaus",
    r"\b(is|are|was) over(?=[.,;:)]|$)": "has ended",
    r"\b(goes|go|went|gone|going) on\b": "resumes, continues",
    r"\bhis\b": "their",
    r"\b(house|rooms?|floors?|doors?|weather)\b": "package, module, layer",
    r"\bRaised when\b": "Incremented when",
    r"(?<!\()\bconstant predictor\b": "mean-shape baseline",
}
"""Phrases that do not stand in the project, and what to say instead."""

LONGEST_NAME = 11
"""Words of a test's name."""


COUNTED = re.compile(
    r" (?:(?!has|takes|cuts|loses|mirrors)[a-z]+ )?(annotations|coordinates|crops|epochs|faces|filters"
    r"|folds|groups|images"
    r"|layers|parts|persons|photos|pictures|points|processes|rows|runs|samples|seeds|settings|shapes|tasks"
    r"|validations|values|weights)\b"
)
"""Counted nouns in the plural, after a number; `keypoints.formatting.counted` words them."""

NO_COUNTS = re.compile(
    r"(split|label|label\.lower\(\)|state|name|path|shown\(rate\)|(len\()?_?[A-Z_0-9]+\)?|(counted|pluralised)\(.*)"
)
"""Expressions that are no number, or never 1."""


def label(path):
    return str(path.relative_to(ROOT))


@functools.cache
def parsed(path):
    source = path.read_text(encoding="utf-8")
    return source, ast.parse(source)


def docstrings(path):
    """Return the docstrings of a module, its classes, functions and attributes: line, text."""
    bodies = [
        node.body for node in ast.walk(parsed(path)[1]) if isinstance(getattr(node, "body", None), list)
    ]
    lone = [each.value for body in bodies for each in body if isinstance(each, ast.Expr)]
    return [
        (each.lineno, each.value)
        for each in lone
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]


def texts(path):
    """Return the comments and strings of a Python file: line, text."""
    source, _ = parsed(path)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    return [(token.start[0], token.string) for token in tokens if token.type in kinds]


def idioms(lines):
    """Return the phrases of PLAIN_WORDS in lines of text, each with what to say instead."""
    return [
        f"line {number}: {found.group()!r}: say {instead}"
        for number, text in lines
        for phrase, instead in PLAIN_WORDS.items()
        if (found := re.search(phrase, re.sub(r"\s*\n[\s#]*", " ", text)))
    ]


def found_in(paths, look):
    """Return what ``look`` finds, by the names of the files in which it finds anything."""
    assert paths
    return {label(path): found for path in paths if (found := look(path))}


def wrong_openings(path):
    return [f"line {line}: {text[:60]}" for line, text in docstrings(path) if NO_OPENING.match(text)]


def test_docstrings_begin_with_an_imperative_or_a_noun():
    assert found_in(MODULES, wrong_openings) == {}


def test_code_speaks_in_standard_terms():
    assert found_in(MODULES, lambda path: idioms(texts(path))) == {}


def test_pages_and_configuration_speak_in_standard_terms():
    assert found_in(TEXTS, lambda path: idioms(paragraphs(path.read_text(encoding="utf-8")))) == {}


def paragraphs(text):
    """Return the paragraphs of a text, each with the number of its first line."""
    parts = re.finditer(r"(?:.+\n?)+", text)
    return [(text.count("\n", 0, found.start()) + 1, found.group()) for found in parts]


def long_names(path):
    _, tree = parsed(path)
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.startswith("test_") and name.count("_") > LONGEST_NAME]


def test_names_of_tests_are_short_sentences():
    assert found_in(TESTS, long_names) == {}


def plurals(path):
    """Return the counts of a file that are followed by a plural, which is wrong for 1."""
    found = []
    for node in ast.walk(parsed(path)[1]):
        if isinstance(node, ast.JoinedStr):
            for value, text in itertools.pairwise(node.values):
                counts = isinstance(value, ast.FormattedValue) and not NO_COUNTS.fullmatch(
                    ast.unparse(value.value)
                )
                if counts and isinstance(text, ast.Constant) and COUNTED.match(text.value):
                    found.append(f"line {text.lineno}: {{{ast.unparse(value.value)}}}{text.value}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [
                f"line {node.lineno}: {each.group()}"
                for each in re.finditer(f"%d{COUNTED.pattern}", node.value)
            ]
    return found


def test_one_function_words_all_counts():
    assert found_in(MODULES, plurals) == {}


def public_callables():
    """Return the functions and methods of the public API that take arguments: dotted name, function."""
    found = {}
    for name in keypoints.__all__:
        public = getattr(keypoints, name)
        if inspect.isfunction(public):
            found[name] = public
        if not inspect.isclass(public):
            continue
        theirs = [base for base in public.__mro__ if not base.__module__.startswith("keypoints")]
        for method, function in vars(public).items():
            plain = getattr(function, "__func__", function)
            if method.startswith("_") or not inspect.isfunction(plain):
                continue
            if not any(method in vars(base) for base in theirs):
                found[f"{name}.{method}"] = plain
    return found


def lacking(function):
    """Return the sections that a public function's docstring lacks."""
    text = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    taken = [name for name in signature.parameters if name not in ("self", "cls")]
    wanted = ["Args"] if taken else []
    if taken and signature.return_annotation not in (None, "None", inspect.Signature.empty):
        wanted += ["Returns"]
    body = ast.parse(textwrap.dedent(inspect.getsource(function)))
    if any(isinstance(node, ast.Raise) and node.exc for node in ast.walk(body)):
        wanted += ["Raises"]
    return [name for name in wanted if not re.search(rf"^{name}:$", text, re.MULTILINE)]


def test_public_functions_say_what_they_take_and_return():
    assert {name: found for name, each in public_callables().items() if (found := lacking(each))} == {}
