"""Beside the Launch form: what will be trained, what it takes, the same as a command, and the paper's protocol."""

import json
import os
import shlex
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pandas as pd
import streamlit as st

from colora.config import RunConfig, format_seeds, setting_flags
from colora.cuts import Cut
from colora.data.counts import ClassCounts
from colora.duration import duration
from colora.errors import UserError
from colora.protocol import Point, differences, open_points
from colora.storage import size_text
from colora.vary import vary_flags
from pages.components import fields, form, show
from pages.components.command import model_questions
from pages.components.downloads import free_room
from pages.components.runs import runs_dir

POLL_SECONDS = 0.2
NOT_COUNTED = "not known: the images are not counted yet"


def arguments_of(name: str, values: form.Values, seeds: list[int], varied: form.Series) -> list[str]:
    """What follows `python -m colora` to launch these groups; a field with several values stands in --vary alone, and
    the pretrained weights of several backbones are each its own."""
    plain = {f: v for f, v in values.items() if f not in varied and v != RunConfig.model_fields[f].default}
    if "backbone" in varied and plain.get("weights") == "shipped":
        del plain["weights"]
    return ["launch", "--name", name, "--seeds", format_seeds(seeds), *setting_flags(plain), *vary_flags(varied)]


def labelled(configs: Sequence[RunConfig], varied: form.Series) -> dict[str, RunConfig]:
    """{what tells it from the others: the settings} of each group; a single one needs no name."""
    return {", ".join(f"{_label(f)} {_value(getattr(config, f))}" for f in varied): config for config in configs}


def show_command(arguments: list[str], config: RunConfig, varied: form.Series) -> None:
    """The command and the settings as JSON, each with the button that copies it; several values as a list."""
    elsewhere = ["--runs-dir", str(runs_dir())] if os.environ.get("COLORA_RUNS_DIR") else []
    st.markdown("**The same from a terminal**")
    st.code(shlex.join(["python", "-m", "colora", *arguments, *elsewhere]), language=None, wrap_lines=True)
    with st.expander("All settings as JSON", icon=":material/data_object:"):
        st.code(json.dumps(config.model_dump() | varied, indent=1), language="json")


def show_amount(names: list[str], seeds: list[int], configs: Sequence[RunConfig]) -> None:
    """How many groups and runs, and where they are kept."""
    if len(names) > 1:
        st.info(
            f"**{len(names)} groups, {len(names) * len(seeds)} runs**: {show.literal(', '.join(names))}. "
            "All are made, or none.",
            icon=":material/stacks:",
        )
    many = f"{len(seeds)} seeds, one after another" if len(seeds) > 1 else f"Seed {seeds[0]}"
    place = runs_dir() / names[0] if len(names) == 1 else runs_dir()
    epochs = " or ".join(dict.fromkeys(str(config.epochs) for config in configs))
    st.caption(f"{many}, {epochs} epochs each, kept in {show.literal(place)}.")


def show_protocol(configs: dict[str, RunConfig], seeds: int) -> None:
    """Where the settings depart from the paper's protocol, of several groups together, and what it leaves open."""
    found: dict[str, list[Point]] = {}
    for config in configs.values():
        for point in differences(config, seeds):
            found.setdefault(point.field, []).append(point)
    title = f"{len(found)} differences" if len(found) > 1 else "1 difference" if found else "no difference"
    with st.expander(f"Against the paper's protocol: {title}", icon=":material/menu_book:"):
        for field, points in found.items():
            here = ", ".join(dict.fromkeys(_value(point.here) for point in points))
            st.markdown(f"- **{_label(field)}**: here {show.literal(here)}; the paper: {points[0].paper}")
        if not found:
            st.markdown("Nothing departs from what the paper says.")
        st.caption("The paper does not settle the following; what stands here is this app's choice.")
        told = "\n".join(
            f"- {_label(p.field)} {show.literal(_value(p.here))} ({p.paper})"
            for p in open_points(next(iter(configs.values())))
        )
        st.caption(told)


def _label(field: str) -> str:
    return {"seeds": "Seeds"}.get(field) or fields.label(field)


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "empty", True: "yes", False: "no"}[value]
    if isinstance(value, list):
        return " / ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def show_model(configs: dict[str, RunConfig], classes: Sequence[int]) -> list[Future]:
    """How much of the network is trained, counted on the built model in another process; returns the estimates."""
    counting, estimating = model_questions(list(configs.values()), classes)
    counts = _all_answers(counting, "Counting …")
    if counts is None:
        return estimating
    if any(weights != counts[0] for weights in counts):
        each_group(configs, [{"Trained": w["trainable"], "Finished network": w["deployed"]} for w in counts], compact)
        return estimating
    weights = counts[0]
    grid = st.grid(2, min_column_width=130)
    grid.metric("Trained", compact(weights["trainable"]), help=f"{weights['trainable']:,} weights are trained.")
    deployed = f"{weights['deployed']:,} weights in the network at the end: what CoLoRA trains is merged."
    grid.metric("Finished network", compact(weights["deployed"]), help=deployed)
    share = weights["trainable"] / weights["deployed"]
    same = " The same for every group." if len(configs) > 1 else ""
    st.caption(
        f"Trainable: {share:.1%} of the deployed network's size. Backbone {compact(weights['features'])}, "
        f"adapters {compact(weights['adapter'])}, head {compact(weights['head'])}, for {classes[0]} classes.{same}"
    )
    return estimating


def each_group(configs: dict[str, RunConfig], rows: list[dict[str, Any]], text: Callable[[Any], str] = str) -> None:
    """A line for each group, named by all that varies."""
    table = pd.DataFrame(rows, index=list(configs)).map(text)
    show.table(table, border="horizontal", alt=f"{' and '.join(table.columns)} for each group")


def show_estimate(
    estimating: list[Future],
    configs: dict[str, RunConfig],
    images: Sequence[tuple[ClassCounts | None, Cut | None]],
    seeds: int,
) -> None:
    """Time, memory and disk of all groups, as a few training steps in another process tell them; `images` of each."""
    found = _all_answers(estimating, "Trying a training step …")
    if found is None:
        return
    asked = zip(found, configs.values(), images, strict=True)
    times = [expected_seconds(one, config, *own) for one, config, own in asked]
    known, runs = None not in times, seeds * len(found)
    grid = st.grid(3, min_column_width=110)
    each = " to ".join(dict.fromkeys(map(duration, (min(times), max(times))))) + " a seed" if known else NOT_COUNTED
    total = duration(seeds * sum(times)).removeprefix("about ") if known else "–"
    grid.metric(
        "Time", total, help=f"For {runs} runs one after another, {each}, on this machine's {found[0]['device']}."
    )
    free = f"One run's share; {size_text(found[0]['memory_free_bytes'])} are free on {found[0]['device']} now."
    grid.metric("Memory", size_text(max(one["memory_bytes"] for one in found)), help=free)
    disk = seeds * sum(one["disk_bytes"] for one in found)
    grid.metric("Disk", size_text(disk), help=f"For {runs} runs; {free_room(runs_dir())} are free.")
    if any((one, seconds) != (found[0], times[0]) for one, seconds in zip(found, times, strict=True)):
        rows = [
            {
                "Time a seed": duration(seconds) if known else "–",
                "Memory": size_text(one["memory_bytes"]),
                "Disk": size_text(seeds * one["disk_bytes"]),
            }
            for one, seconds in zip(found, times, strict=True)
        ]
        each_group(configs, rows)
    st.caption("Rough: from a few training steps, here and now. An idle computer is faster.")
    for name, one in zip(configs, found, strict=True):
        if one["memory_bytes"] > one["memory_free_bytes"]:
            largest = one["largest_batch_size"]
            do = f"lower the batch size to {largest} or less" if largest else "take a smaller image size or backbone"
            what = f"{name} does" if name else "This does"
            says = f"{what} not fit into the memory that is free now: {do}."
            show.say(says, st.warning, ":material/memory:")


def expected_seconds(
    found: dict[str, Any], config: RunConfig, classes: ClassCounts | None, cut: Cut | None
) -> float | None:
    """Of one seed: its training steps, and the evaluation of each split after every epoch; None where the number of
    images is not known yet. A folder, which is split later, trains on about 70 % of its images."""
    if classes is None:
        return None
    if "train" in classes.counts:
        train = sum(classes.used(config.train_set, config.per_class))
        evaluated = classes.total("val") + classes.total("test")
    else:
        train, evaluated = 0.7 * classes.total("all"), 0.3 * classes.total("all")
    if cut:
        train = len(cut.image_ids)
    if config.train_figures == "full":
        evaluated += train
    return config.epochs * (found["seconds_per_image"] * train + found["eval_seconds_per_image"] * evaluated)


def _all_answers(asked: list[Future], doing: str) -> list[dict[str, Any]] | None:
    """All of them, or None under the sentence why one is missing."""
    found = []
    for future in asked:
        answer = _answer(future, doing)
        if answer is None:
            return None
        found.append(answer)
    return found


def _answer(asked: Future, doing: str) -> dict[str, Any] | None:
    """The answer once it is there, or None under the sentence why there is none."""
    waiting = st.empty()
    while not asked.done():
        waiting.caption(doing)  # and where the wait ends if someone goes on typing or launches
        time.sleep(POLL_SECONDS)
    waiting.empty()
    if asked.cancelled():
        st.rerun()  # another tab had asked the same and changed its mind
    try:
        return asked.result()
    except UserError as error:
        fields.mark(f"This model cannot be built. {error}")
        return None


def compact(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 100_000 else f"{count:,}"
