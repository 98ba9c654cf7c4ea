"""Beside the Launch form: what will be trained, what it takes, the same as a command, and the paper's protocol."""

import json
import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Any

import pandas as pd
import streamlit as st

from colora.data.counts import ClassCounts
from colora.data.cuts import Cut
from colora.runs.trained_said import reached, says_by_pointwise_rank, says_few_reached, says_trained
from colora.settings.config import RunConfig, setting_flags
from colora.settings.protocol import Point, differences, open_points
from colora.settings.seeds import format_seeds
from colora.settings.vary import vary_flags
from colora.system.duration import span
from colora.system.errors import UserError
from colora.system.storage import size_text
from colora.system.typed import number_text
from colora.training.estimate import free_bytes
from pages.components import picking, show
from pages.components.command import Answer, Unanswered, ask_again, told
from pages.components.data.downloads import free_room
from pages.components.launch import fields, form, weights_asked
from pages.components.launch.taken import busy_now, taken, too_much
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
    each = f"{epochs} epoch{'s' * (epochs != '1')}{' each' * (len(seeds) > 1)}"
    st.caption(f"{many}, {each}, kept in {show.literal(place)}.")


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
    return number_text(value) if isinstance(value, float) else str(value)


def show_model(configs: dict[str, RunConfig], classes: Sequence[int], counting: list[Answer]) -> bool:
    """How much of the network is trained, counted on the built model in another process; whether it can be built."""
    st.markdown("**Parameters**")
    try:
        counts = _all_answers(counting, "params", "Counting …")
    except UserError as error:
        _cannot_be_built(error)
        return False
    if counts is None:
        return True
    if any(weights != counts[0] for weights in counts):
        each_group(configs, [{"Trained": w["trainable"], "Finished network": w["deployed"]} for w in counts], compact)
        least = min(range(len(counts)), key=lambda i: 1.0 if (share := reached(counts[i])) is None else share)
        few_reached(counts[least], f"{list(configs)[least]}: ")
        return True
    weights = counts[0]
    grid = st.grid(2, min_column_width=130)
    grid.metric("Trained", compact(weights["trainable"]), help=f"{weights['trainable']:,} weights are trained.")
    deployed = f"{weights['deployed']:,} weights in the network at the end: what CoLoRA trains is merged."
    grid.metric("Finished network", compact(weights["deployed"]), help=deployed)
    share = weights["trainable"] / weights["deployed"]
    same = " The same for every group." if len(configs) > 1 else ""
    st.caption(
        f"Trainable: {100 * share:.1f} % of the deployed network's size. Backbone {compact(weights['features'])}, "
        f"adapters {compact(weights['adapter'])}, head {compact(weights['head'])}, for {classes[0]} classes.{same}"
    )
    by_rank = weights.get("adapter_by_pointwise_rank", {})
    if told := " ".join(filter(None, (says_trained(weights), says_by_pointwise_rank(by_rank)))):
        st.caption(show.literal(told))
    few_reached(weights)
    return True


def few_reached(weights: dict[str, Any], whose: str = "") -> None:
    """A warning where most of the network's weights lie in layers without an adapter."""
    if few := says_few_reached(weights):
        show.say(f"{whose}{few}", st.warning, ":material/warning:")


def each_group(configs: dict[str, RunConfig], rows: list[dict[str, Any]], text: Callable[[Any], str] = str) -> None:
    """A line for each group, named by all that varies."""
    table = pd.DataFrame(rows, index=list(configs)).map(text).rename_axis("Group")
    show.table(table, border="horizontal", alt=f"{' and '.join(table.columns)} for each group")


def show_estimate(
    estimating: list[Answer],
    configs: dict[str, RunConfig],
    images: Sequence[tuple[ClassCounts | None, Cut | None]],
    seeds: int,
) -> str | None:
    """Time, memory and disk of all groups, as a few training steps in another process tell them; `images` of each.
    Returns the time in words."""
    try:
        answers = _all_answers(estimating, "preflight", "Trying a training step …")
    except UserError as error:
        _cannot_be_built(error)
        return None
    if not answers:
        return None
    asked = zip(answers, configs.values(), images, strict=True)
    rows = [taken(one, config, *own) for one, config, own in asked]
    known, runs, device = all(row.seconds is not None for row in rows), seeds * len(rows), rows[0].device
    each, total = NOT_COUNTED, "–"
    if known:
        each = f"{span(min(row.idle_seconds for row in rows), max(row.seconds for row in rows))} a seed"
        total = span(*(seeds * sum(of) for of in zip(*((row.idle_seconds, row.seconds) for row in rows), strict=True)))
    st.metric(  # alone in its line: a range is long
        "Time",
        total.removeprefix("about "),
        help=f"For {runs} runs one after another, {each}, on this machine's {device}.",
    )
    grid = st.grid(2, min_column_width=130)
    most = max(row.memory_bytes for row in rows)
    free = free_bytes(rows[0].tried, ())
    grid.metric("Memory", size_text(most), help=f"One run's share; {size_text(free)} are free on {device} now.")
    disk = seeds * sum(row.disk_bytes for row in rows)
    grid.metric("Disk", size_text(disk), help=f"For {runs} runs; {free_room(runs_dir())} are free.")
    if len({(row.seconds, row.memory_bytes, row.disk_bytes) for row in rows}) > 1:
        table = [
            {
                "Time a seed": span(row.idle_seconds, row.seconds) if known else "–",
                "Memory": size_text(row.memory_bytes),
                "Disk": size_text(seeds * row.disk_bytes),
            }
            for row in rows
        ]
        each_group(configs, table)
    busy = next((one["busy"] for one in answers if one["busy"]), None)
    now = busy_now(rows[0].device)
    st.caption(
        f"The time is a range because the computer was busy when it was tried ({busy}): from what it takes on an idle "
        "one to what it takes so."
        if busy and " to " in total
        else f"Rough: from a few training steps on this computer.{f' It takes longer while {now}.' if now else ''}"
    )
    for (name, config), row in zip(configs.items(), rows, strict=True):
        if lower := too_much(row, config, runs_dir()):
            what = f"{name} does" if name else "This does"
            show.say(f"{what} not fit into the memory that is free now: {lower}.", st.warning, ":material/memory:")
    return total if known else None


def wait_for(config: RunConfig, classes: int) -> bool:
    """Until it is measured what these settings take, or cannot be; False where the page must not wait."""
    while (asked := told(config, classes)) is not None and not asked.done():
        if picking.is_open():
            return False
        st.empty()  # where the wait ends if someone goes on
        wait([asked], POLL_SECONDS)
    return asked is not None


def _all_answers(asked: list[Answer], command: str, doing: str) -> list[dict[str, Any]] | None:
    """All of them, or None under the sentence why one is missing. Raises UserError for a model that cannot be built."""
    found = []
    for future in asked:
        answer = _answer(future, command, doing)
        if answer is None:
            return None
        found.append(answer)
    return found


def _answer(asked: Answer, command: str, doing: str) -> dict[str, Any] | None:
    """The answer once it is there, or None under the sentence why there is none, and what can be done about it. Raises
    UserError where the answer is a refusal."""
    waiting = st.empty()
    while not asked.done():
        waiting.caption(doing)  # and where the wait ends if someone goes on typing or launches
        if picking.is_open():  # what is clicked there waits for the page's script to end
            return None
        wait([asked], POLL_SECONDS)
        weights_asked.renew()
    waiting.empty()
    if asked.cancelled():
        st.rerun()  # another tab had asked the same and changed its mind
    try:
        return asked.result()
    except Unanswered as error:
        show.say(f"Not known: {error}", st.warning, ":material/error:")
        st.button("Try again", icon=":material/refresh:", key=f"again-{command}", on_click=ask_again)
    return None


def _cannot_be_built(error: UserError) -> None:
    fields.mark(f"This model cannot be built. {error}")


def compact(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 100_000 else f"{count:,}"
