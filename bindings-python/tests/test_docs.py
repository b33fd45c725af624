"""The examples in the documentation run as they are printed. (Those of Python modules run as doctests.)"""

import doctest
import inspect
import re
from pathlib import Path

import pytest

from warrenmq import _native


def documented():
    for name, thing in vars(_native).items():
        if inspect.isclass(thing):
            for member, value in [("", thing), *vars(thing).items()]:
                text = getattr(value, "__doc__", None) or ""
                if ">>>" in text:
                    yield pytest.param(text, id=f"{name}.{member}".rstrip("."))


@pytest.mark.parametrize("text", list(documented()))
def test_the_example_of(text):
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(text), {}, "example", None, None)
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_the_examples_of_the_readme_run(run):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    blocking, more, asyncio = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert run(blocking + more) == "{'n': 30}\n42\nnow\n"
    head, _, body = asyncio.partition("\n\n")
    indented = body.replace("\n", "\n    ")
    assert run(f"{head}\nimport asyncio\nasync def main():\n    {indented}\nasyncio.run(main())") == "hello\n"
