"""The names that `import lmdiag` offers: complete, working in any order of imports, and free until they are used."""

import subprocess
import sys

import pytest

import lmdiag


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_all_is_sorted_and_complete():
    assert lmdiag.__all__ == sorted(lmdiag._HOME)
    assert set(dir(lmdiag)) >= set(lmdiag.__all__)


@pytest.mark.parametrize("name", lmdiag.__all__)
def test_every_name_is_a_class_or_a_function_also_after_its_module_was_imported(name):
    home = lmdiag._HOME[name]
    print_it = f"print(callable(lmdiag.{name}), type(lmdiag.{name}).__name__)"
    assert python(f"import lmdiag, {home}; {print_it}").split()[0] == "True"
    assert python(f"import lmdiag; lmdiag.{name}; import {home}; {print_it}").split()[0] == "True"


def test_importing_the_package_imports_nothing_heavy():
    assert python("import lmdiag, sys; print('numpy' in sys.modules)") == "False"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'diagnosis'"):
        lmdiag.diagnosis  # noqa: B018
