"""Several adapters on one base, one of them active: the paper's tasks that share a network. And none, for a while.

    model = adapt(resnet18())                    # its adapter is called "default"
    add_adapter(model, "drusen", modules={"fc": nn.Linear(512, 2)})
    set_adapter(model, "drusen")                 # now train it, with an optimizer of its own

K0 and b0 are held once. An adapter has its own factors, its own parameters of whatever trains beside them (the
classifier), its own buffers (batch norm's running statistics), and the modules that were put into the model while it
was active. Those that are not active are no part of the model: state_dict, `parameters()`, counts and files have the
active one alone; copies and pickles of the model keep all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import nn

from colora.adapters.aside import ATTRIBUTE, FIRST, Named, adapted_aside, named, plain_of, put, take
from colora.adapters.classifier import trained_beside
from colora.adapters.layer import FACTORS, AdaptedLayer
from colora.adapters.model import CoLoRAConfig, adapt, put_adapters
from colora.adapters.sharded import any_sharded
from colora.adapters.walk import adapted_layers, bare_name, refuse_compiled, replace_modules, unwrapped


@contextmanager
def disable_adapters(model: nn.Module) -> Iterator[None]:
    """A context, or a decorator, in which every adapted layer computes with K0 and b0.

    The adapters stay, and so does whatever trains beside them: a classifier is the trained one, and batch norm's
    statistics are those of the training. `merge_` merges dK here too. Adapters that are added inside compute.
    """
    layers = [*adapted_layers(model).values(), *adapted_aside(model)]
    before = [layer.enabled for layer in layers]
    try:
        for layer in layers:
            layer.enabled = False
        yield
    finally:
        for layer, enabled in zip(layers, before, strict=True):
            layer.enabled = enabled


def adapter_names(model: nn.Module) -> list[str]:
    """The active adapter's name, then those of the others in the order in which they were added."""
    about = named(model)
    others = [name for name in about.order if name != about.active]
    return [about.active, *others] if adapted_layers(model) else []


def add_adapter(
    model: nn.Module,
    name: str,
    config: CoLoRAConfig | None = None,
    train_also: str | Sequence[str] | None = None,
    seed: int = 0,
    modules: Mapping[str, nn.Module] | None = None,
) -> nn.Module:
    """Adds an adapter of that name, beside those that there are, and returns the model; `set_adapter` makes it active.

    On a plain model it is the first one, and active. `config`, `train_also` and `seed` are as in `adapt`. `modules` are
    put in the place of those of these names and train, such as {"fc": nn.Linear(512, 7)} for a task of seven classes;
    whatever else trains, and the buffers, begin as copies of what the active adapter has now.

    Raises ValueError for a name that is taken, as `adapt` does, and for a model that FSDP2 has sharded, or that is one
    adapted layer itself.
    """
    config = config or CoLoRAConfig()
    bare = unwrapped(model)

    def beside(plain: nn.Module) -> list[str]:
        put_modules(plain, modules)
        return list(dict.fromkeys([*trained_beside(plain, train_also), *(modules or ())]))

    if adapted_layers(bare):
        add_built(bare, name, lambda plain: put_adapters(plain, config, beside(plain), seed))
        return model
    if name != FIRST:
        refuse_lone(bare)
    with standing_again(bare, only_after_errors=True):
        model = adapt(model, config, beside(bare), seed)
    call_first(model, name)
    return model


def set_adapter(model: nn.Module, name: str) -> None:
    """Makes the adapter of that name the active one, in place.

    Modules are exchanged, no values are copied: each adapter's parameters stay those that its optimizer knows. They go
    to the device and dtype of the model, and hooks of adapted layers and their mode move to the layers that come.
    Raises ValueError for a name that there is not, and for a model that DistributedDataParallel holds or FSDP2 has
    sharded.
    """
    about = named(model)
    if name == about.active and adapted_layers(model):
        return
    _known(model, name)
    if isinstance(model, nn.parallel.DistributedDataParallel):
        raise ValueError("set the adapter before DistributedDataParallel takes the model: it would go on with this one")
    bare = unwrapped(model)
    _refuse_sharded(bare)
    layers = [*adapted_layers(bare).values(), *adapted_aside(bare)]
    refuse_compiled(model, [*layers, *(layer.base for layer in layers)])
    here = take(bare)
    put(bare, about.others.pop(name))
    about.others[about.active] = here
    about.active = name


def remove_adapter(model: nn.Module, name: str) -> None:
    """Forgets an adapter that is not active. Raises ValueError for the active one, and for a name that there is not."""
    _known(model, name)
    about = named(model)
    if name == about.active:
        others = (
            f"set another one first ({', '.join(adapter_names(model)[1:])})" if about.others else "strip takes it off"
        )
        raise ValueError(f"the adapter {name!r} is active: {others}")
    del about.others[name]
    about.order.remove(name)


@contextmanager
def activated(model: nn.Module, name: str | None) -> Iterator[None]:
    """A context in which the adapter of that name is active, or with None whichever is."""
    before = named(model).active
    if name is None or (name == before and adapted_layers(model)):
        yield
        return
    set_adapter(model, name)
    try:
        yield
    finally:
        set_adapter(model, before)


def call_first(model: nn.Module, name: str) -> None:
    """Names the one adapter of a model."""
    if name != FIRST:
        unwrapped(model).__dict__[ATTRIBUTE] = Named(name, [name])


def add_built(
    bare: nn.Module,
    name: str,
    build: Callable[[nn.Module], object],
    fill: Callable[[nn.Module], object] = lambda _: None,
) -> None:
    """Adds what `build` makes of the plain model, and `fill` puts into it once its parameters are its own.

    The active adapter stands as it did afterwards, also after an error.
    """
    if name in adapter_names(bare):
        raise ValueError(f"there is an adapter {name!r} already; the model has {', '.join(adapter_names(bare))}")
    refuse_lone(bare)
    _refuse_sharded(bare)
    with standing_again(bare) as trained:
        plain = {id(layer): plain_of(layer) for layer in adapted_layers(bare).values()}
        replace_modules(bare, lambda m: plain.get(id(m)))
        build(bare)
        _own(bare, trained)
        fill(bare)
        new = take(bare)
    about = bare.__dict__.setdefault(ATTRIBUTE, named(bare))
    about.others[name] = new
    about.order.append(name)


@contextmanager
def standing_again(bare: nn.Module, only_after_errors: bool = False) -> Iterator[set[int]]:
    """A context after which the model stands, and trains, as before; the ids of the parameters that train."""
    here = take(bare)
    flags = [(p, p.requires_grad) for p in bare.parameters()]
    done = False
    try:
        yield {id(p) for p, trains in flags if trains}
        done = True
    finally:
        if not (done and only_after_errors):
            put(bare, here)
            for parameter, trains in flags:
                parameter.requires_grad = trains


def _own(bare: nn.Module, trained: set[int]) -> None:
    """Copies of the parameters that train here or are among the ids `trained`, and of the buffers that state_dict has:
    those that two modules share once."""
    copies: dict[int, nn.Parameter] = {}
    buffers = {}
    for module in bare.modules():
        for name, p in module._parameters.items():
            new = isinstance(module, AdaptedLayer) and name in FACTORS
            if p is not None and not new and (p.requires_grad or id(p) in trained):
                if id(p) not in copies:
                    copies[id(p)] = nn.Parameter(p.detach().clone(), p.requires_grad)
                module._parameters[name] = copies[id(p)]
        for name, b in module._buffers.items():
            if b is not None and name not in module._non_persistent_buffers_set:
                module._buffers[name] = buffers.setdefault(id(b), b.detach().clone())


def put_modules(model: nn.Module, modules: Mapping[str, nn.Module] | None) -> None:
    """Puts each in the place of that name. Raises ValueError for a place that there is not."""
    held: dict[str, str] = {}  # with the parts that torch.compile puts into names; of a compiled one its wrapper's
    for name, _ in model.named_modules():
        held.setdefault(bare_name(name), name)
    for place in modules or ():
        if not place or place not in held:
            children = ", ".join(name for name, _ in model.named_children())
            raise ValueError(f"modules names {place!r}, which the model lacks; it has {children}")
    for place, module in (modules or {}).items():
        old = model.get_submodule(held[place])
        like = next(old.parameters(), None)
        if like is not None:
            module.to(like.device)
        model.set_submodule(held[place], module.train(old.training))


def _known(model: nn.Module, name: str) -> None:
    names = adapter_names(model)
    if name not in names:
        raise ValueError(f"there is no adapter {name!r}; the model has {', '.join(names) or 'none'}")


def refuse_lone(bare: nn.Module) -> None:
    """Raises ValueError for a model that is one layer, which would have to be another object with another adapter."""
    if not any(True for _ in bare.children()):
        raise ValueError("a model that is one layer has one adapter, 'default': put it into nn.Sequential for others")


def _refuse_sharded(bare: nn.Module) -> None:
    if any_sharded(bare):
        raise ValueError("the model is sharded by FSDP2, which would go on with its own adapter: set or add it before")
