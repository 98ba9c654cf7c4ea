"""`from colora import ...`: every public name of the library, without torch until one is used."""

import ast
import subprocess
import sys
from pathlib import Path

import colora

SOURCE = Path(colora.__file__).read_text()


def test_every_public_name_is_that_of_its_module():
    assert len(colora.__all__) == len(set(colora.__all__)) >= 25
    for name in colora.__all__:
        assert getattr(colora, name).__module__ == f"colora.adapters.{colora._HOME[name]}"
        assert getattr(colora, name).__name__ == name
    assert set(colora.__all__) <= set(dir(colora))


def test_the_three_lists_agree():
    guarded = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module.removeprefix("colora.adapters.")
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == colora._HOME
    assert colora.__all__ == list(colora._HOME)


def test_importing_the_package_loads_no_torch():
    code = "import sys, colora; dir(colora); assert 'torch' not in sys.modules; "
    code += "colora.adapt; assert 'torch' in sys.modules; assert 'torch.distributed.fsdp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
