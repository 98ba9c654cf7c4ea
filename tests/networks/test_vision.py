"""torchvision without torch's compiler: what is loaded, that nothing computes otherwise, and who asks for more."""

import importlib
import json
import os
import subprocess
import sys

import pytest

from colora.networks import vision

SAME = """
import json, sys
import torch
from colora.networks.backbones import build
from colora.training.checkpoint import load_plain
found = {}
networks = {"resnet18:layer3": 64, "squeezenet1_1": 64, "texturenet": 64, "vgg16:features.16": 32}
x = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)
for spec, size in networks.items():
    model = build(spec, 4, size, seed=1)
    load_plain(model, model.state_dict())
    with torch.inference_mode():
        found[spec] = model.eval()(x[..., :size, :size]).tolist()
found["loaded"] = sorted(name for name in sys.modules if f"{name}.".startswith(("torch._dynamo.", "sympy.")))
found["finders"] = [repr(finder) for finder in sys.meta_path if "colora" in type(finder).__module__]

from torchvision.ops import roi_align
boxes = torch.tensor([[0, 3.0, 5.0, 40.0, 30.0], [0, 0.0, 0.0, 63.0, 63.0]])
found["roi_align"] = roi_align(x, boxes, (4, 4)).tolist()
asks = sys.modules["torchvision.ops.roi_align"].is_compile_supported
found["supported"] = [asks(device) for device in ("cpu", torch.device("meta"))]
step = lambda x: roi_align(2 * x, boxes, (4, 4)) if asks("cpu") else x
found["compiled"] = torch.compile(step, backend="eager", fullgraph=True)(x).tolist()
from torch._dynamo import utils
found["utils"] = [utils.__file__, sys.modules["torch._dynamo.utils"] is utils, hasattr(utils, "counters")]
print(json.dumps(found))
"""


def told(script: str) -> dict:
    one = os.environ | {"OMP_NUM_THREADS": "1"}  # two threads may add in another order, and wait for each other
    done = subprocess.run([sys.executable, "-c", script], env=one, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_models_are_built_and_look_without_the_compiler_and_all_comes_out_the_same():
    light, plain = told(SAME), told("import torch, torchvision\n" + SAME)
    assert light.pop("loaded") == []
    assert "torch._dynamo" in plain.pop("loaded")  # else this release of torchvision does without: `vision` can go
    assert light == plain
    assert light["finders"] == []
    assert light["supported"] == [True, False]
    assert light["utils"][1:] == [True, True]
    assert len(light["roi_align"]) == len(light["compiled"]) == 2


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A package in the place of torch's compiler, and modules of another package that ask it for something."""
    files = {
        "compiler/__init__.py": "from . import utils as held\nfrom .utils import counters",
        "compiler/utils.py": "counters = {'real': 1}\ndef is_compile_supported(device_type): return f'{device_type}?'",
        "compiler/other.py": "from compiler.utils import counters",
        "asks_one.py": "from compiler.utils import is_compile_supported",
        "asks_more.py": "from compiler.utils import is_compile_supported, counters",
        "asks_other.py": "import compiler.other\nfrom compiler.utils import is_compile_supported",
        "asks_what_is_not.py": "from compiler.utils import nothing_like_it",
    }
    (tmp_path / "compiler").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(vision, "COMPILER", "compiler")
    monkeypatch.setattr(vision, "UTILS", "compiler.utils")
    finders = list(sys.meta_path)
    yield tmp_path
    assert sys.meta_path == finders
    for name in [n for n in sys.modules if n.partition(".")[0] in ("compiler", *(f[:-3] for f in files))]:
        del sys.modules[name]


def real() -> bool:
    """Whether the package is loaded, by its own files and by no stand-in."""
    loaded = [name for name in sys.modules if name.partition(".")[0] == "compiler"]
    assert all(sys.modules[name].__spec__ is not None for name in loaded)
    if loaded:
        package, utils = sys.modules["compiler"], sys.modules["compiler.utils"]
        assert package.utils is package.held is utils
        assert package.counters is utils.counters
    return bool(loaded)


def test_the_one_function_asks_the_real_one_when_it_is_called(compiler):
    with vision.without_compiler():
        asks = importlib.import_module("asks_one")
        assert "compiler" not in sys.modules
    assert not real()
    assert asks.is_compile_supported("cuda") == "cuda?"
    assert real()


@pytest.mark.parametrize("name", ["asks_more", "asks_other"])
def test_who_asks_for_more_gets_the_real_one(name, compiler):
    with vision.without_compiler():
        asks = importlib.import_module(name)
        assert real()
    assert real()
    assert asks.is_compile_supported("cuda") == "cuda?"
    if name == "asks_more":
        assert asks.counters is sys.modules["compiler.utils"].counters


def test_what_is_loaded_already_stays(compiler):
    utils = importlib.import_module("compiler.utils")
    with vision.without_compiler():
        assert sys.modules["compiler.utils"] is utils
        assert importlib.import_module("asks_one").is_compile_supported is utils.is_compile_supported
    assert sys.modules["compiler.utils"] is utils


def test_an_import_that_fails_leaves_no_stand_in(compiler):
    with pytest.raises(ImportError, match="nothing_like_it"), vision.without_compiler():
        importlib.import_module("asks_what_is_not")
    assert real()
    (compiler / "broken.py").write_text("from compiler.utils import is_compile_supported\n1 / 0\n")
    for name in [n for n in sys.modules if n.partition(".")[0] == "compiler"]:
        del sys.modules[name]
    with pytest.raises(ZeroDivisionError), vision.without_compiler():
        importlib.import_module("broken")
    assert not real()
