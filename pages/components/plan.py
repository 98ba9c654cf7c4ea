"""Beside the Launch form: what will be trained, what it takes, the same as a command, and the paper's protocol."""

import json
import os
import shlex
import time
from concurrent.futures import Future
from typing import Any

import streamlit as st

from colora.config import RunConfig, launch_arguments
from colora.cuts import Cut
from colora.data.counts import ClassCounts
from colora.duration import duration
from colora.errors import UserError
from colora.protocol import differences, open_points
from colora.storage import size_text
from pages.components import fields
from pages.components.command import model_questions
from pages.components.downloads import free_room
from pages.components.runs import runs_dir

POLL_SECONDS = 0.2


def arguments_of(name: str, config: RunConfig, seeds: list[int], series: dict[str, list[Any]]) -> list[str]:
    """What follows `python -m colora` to launch these groups; a field with several values stands in --vary alone."""
    plain = config.model_copy(update={field: RunConfig.model_fields[field].default for field in series})
    vary = [f"--vary={field}={','.join(json.dumps(value) for value in values)}" for field, values in series.items()]
    return launch_arguments(name, plain, seeds) + vary


def show_command(arguments: list[str], config: RunConfig) -> None:
    """The command and the settings as JSON, each with the button that copies it."""
    elsewhere = ["--runs-dir", str(runs_dir())] if os.environ.get("COLORA_RUNS_DIR") else []
    st.markdown("**The same from a terminal**")
    st.code(shlex.join(["python", "-m", "colora", *arguments, *elsewhere]), language=None, wrap_lines=True)
    with st.expander("All settings as JSON", icon=":material/data_object:"):
        st.code(json.dumps(config.model_dump(), indent=1), language="json")


def show_amount(names: list[str], seeds: list[int], config: RunConfig) -> None:
    """How many groups and runs, and where they are kept."""
    if len(names) > 1:
        st.info(
            f"**{len(names)} groups, {len(names) * len(seeds)} runs**: {', '.join(names)}. All are made, or none.",
            icon=":material/stacks:",
        )
    many = f"{len(seeds)} seeds, one after another" if len(seeds) > 1 else f"Seed {seeds[0]}"
    place = runs_dir() / names[0] if len(names) == 1 else runs_dir()
    st.caption(f"{many}, {config.epochs} epochs each, kept in {place}.")


def show_protocol(config: RunConfig, seeds: int) -> None:
    """Where the settings depart from the paper's protocol, and what it leaves open."""
    found = differences(config, seeds)
    title = f"{len(found)} differences" if len(found) > 1 else "1 difference" if found else "no difference"
    with st.expander(f"Against the paper's protocol: {title}", icon=":material/menu_book:"):
        for point in found:
            st.markdown(f"- **{_label(point.field)}**: here {_value(point.here)}; the paper: {point.paper}")
        if not found:
            st.markdown("Nothing departs from what the paper says.")
        st.caption("The paper does not settle the following; what stands here is this app's choice.")
        told = "\n".join(f"- {_label(p.field)} {_value(p.here)} ({p.paper})" for p in open_points(config))
        st.caption(told)


def _label(field: str) -> str:
    return {"seeds": "Seeds"}.get(field) or fields.label(field)


def _value(value: Any) -> str:
    return "empty" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def show_model(config: RunConfig, classes: int) -> Future:
    """How much of the network is trained, counted on the built model in another process; returns the estimate."""
    counting, estimating = model_questions(config, classes)
    weights = _answer(counting, "Counting …")
    if weights is None:
        return estimating
    grid = st.grid(2, min_column_width=130)
    grid.metric("Trained", compact(weights["trainable"]), help=f"{weights['trainable']:,} weights are trained.")
    deployed = f"{weights['deployed']:,} weights in the network at the end: what CoLoRA trains is merged."
    grid.metric("Finished network", compact(weights["deployed"]), help=deployed)
    share = weights["trainable"] / weights["deployed"]
    st.caption(
        f"Trainable: {share:.1%} of the deployed network's size. Backbone {compact(weights['features'])}, "
        f"adapters {compact(weights['adapter'])}, head {compact(weights['head'])}, for {classes} classes."
    )
    return estimating


def show_estimate(
    estimating: Future, config: RunConfig, classes: ClassCounts | None, cut: Cut | None, runs: int
) -> None:
    """Time, memory and disk, as a few training steps in another process tell them."""
    found = _answer(estimating, "Trying a training step …")
    if found is None:
        return
    seconds = expected_seconds(found, config, classes, cut)
    grid = st.grid(3, min_column_width=110)
    each = "not known: the images are not counted yet" if seconds is None else f"{duration(seconds)} a seed"
    total = "–" if seconds is None else duration(seconds * runs).removeprefix("about ")
    grid.metric("Time", total, help=f"For {runs} runs one after another, {each}, on this machine's {found['device']}.")
    free = f"One run's share; {size_text(found['memory_free_bytes'])} are free on {found['device']} now."
    grid.metric("Memory", size_text(found["memory_bytes"]), help=free)
    disk = runs * found["disk_bytes"]
    grid.metric("Disk", size_text(disk), help=f"For {runs} runs; {free_room(runs_dir())} are free.")
    st.caption("Rough: from a few training steps, here and now. An idle computer is faster.")
    if found["memory_bytes"] > found["memory_free_bytes"]:
        largest = found["largest_batch_size"]
        do = f"lower the batch size to {largest} or less" if largest else "take a smaller image size or backbone"
        st.warning(f"This does not fit into the memory that is free now: {do}.", icon=":material/memory:")


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
