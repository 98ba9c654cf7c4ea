"""Set up one group of runs or a series of them, see what it will train and take, and launch it.

Three questions in the Simple form, every field under All settings; the bar at the bottom launches, or says what is to
be done before.
"""

from collections.abc import Callable
from functools import partial

import streamlit as st

from colora.data.counts import ClassCounts
from colora.data.cuts import Cut, read_cut
from colora.data.tables.beside import offered_in
from colora.settings.config import DATA_FIELDS, RunConfig, make_config, names_file
from colora.settings.glossary import explains
from colora.settings.seeds import parse_seeds
from colora.system.errors import UserError
from pages.components import acting, cluster, show
from pages.components.command import model_questions, run_colora
from pages.components.data import counts, downloads, look
from pages.components.frame import inside_app, one_of
from pages.components.launch import (
    bar,
    fields,
    form,
    kept,
    limits,
    origin,
    plan,
    questions,
    several,
    simple,
    start,
    thorough,
    ways,
    weights_asked,
)
from pages.components.launch.launching import launched_here
from pages.components.runs import runs_dir
from pages.components.sign_in import only_for

IMAGES = (*DATA_FIELDS, "train_set", "per_class", "cut")  # what decides what is trained on
Images = tuple[ClassCounts | None, Cut | None]
Below = dict[str, Callable[[str | None], None]]  # {field: draws what is below it, given what is wrong with it}
Questions = list[questions.Question]
EACH_GROUP_SECONDS = 120  # how long a launch may take, for each group


def group_fields(found: dict[str, str], below: Below) -> None:
    grid = st.grid(2, min_column_width=240)
    with grid.cell():
        fields.launch_name("Name", "The name of this group of runs, and of its folder.", found)
    with grid.cell():
        st.text_input(
            "Random seeds",
            key="launch-seeds",
            help="One training a seed, such as 0-9 or 0,3,5. Several show how much of a result is chance; "
            f"the paper has 10.\n\n{explains('seed')}",
            persist_state="session",
        )
        below.get("seeds", fields.mark)(found.get("seeds"))


def images_of(every: list[form.Values], found: dict[str, str]) -> list[Images]:
    """What each group trains on; groups that take the same are looked at once."""
    kinds = [_kind(values) for values in every]
    known = dict(zip(kinds, every, strict=True))
    looked_at = {kind: (training_images(one, found), chosen_cut(one, found)) for kind, one in known.items()}
    return [looked_at[kind] for kind in kinds]


def _kind(values: form.Values) -> tuple[str, ...]:
    return tuple(repr(values[field]) for field in IMAGES)


def training_images(values: form.Values, found: dict[str, str]) -> ClassCounts | None:
    """Images of each class in the chosen data, where known quickly; what is wrong with them goes into `found`."""
    if found.keys() & (set(DATA_FIELDS) - {"dataset"}) or ("dataset" in found and "dataset" not in form.needed(values)):
        return None
    try:
        classes = counts.of_source(make_config({field: values[field] for field in DATA_FIELDS}))
        if classes and "per_class" not in found:
            classes.used(values["train_set"], values["per_class"])
        return classes
    except UserError as error:
        found.setdefault(look.field_of(error), str(error))
        return None


def chosen_cut(values: form.Values, found: dict[str, str]) -> Cut | None:
    """The cut to train on; what is wrong with it goes into `found`."""
    if not values["cut"] or "cut" in found:
        return None
    try:
        cut = read_cut(runs_dir(), values["cut"])
    except UserError as error:
        found["cut"] = str(error)
        return None
    if "image_size" not in found and cut.image_size != values["image_size"]:
        found["image_size"] = f"The cut {cut.name} is of images at {cut.image_size} px."
    return cut


def downloads_below(every: list[form.Values], found: dict[str, str]) -> dict[str, Callable[[str], None]]:
    """{field: draws the download of the file that it needs, with the sentence that it is missing}."""
    below = {}
    for field, (target, values) in form.first_needed(every).items():
        query = {"set": fields.set_title(values["dataset"]), "folder": values["data_dir"] or ""}
        if field in found:
            below[field] = partial(downloads.missing, target, shown, query if field == "dataset" else {})
    return below


def answers_below(values: form.Values, found: dict[str, str]) -> dict[str, Callable[[str], None]]:
    """{field: draws what is wrong with the data, with the answers that can be clicked}."""
    alone = {field: value for field, value in values.items() if field not in form.chosen()}
    asked = [field for field, said in found.items() if look.answers(said, alone) or offered_in(said)]
    return {field: partial(look.mark_with_answers, now=alone, key=form.key) for field in asked}


def settings(values: form.Values, found: dict[str, str], below: Below) -> None:
    """The config's sections: what nearly everyone sets in the open, the rest folded until it is wrong."""
    for section in form.SECTIONS:
        meant = [f for f in form.FIELDS if form.section(f) == section and form.applies(f, values)]
        basic = [f for f in fields.BASIC if f in meant]
        more = [f for f in meant if f not in fields.BASIC]
        if basic:
            st.subheader(section)
            fields.draw(basic, found, below)
        if more:
            wrong = any(f in found for f in more)
            title = f"More {section.lower()} settings" if basic else f"{section} settings"
            unfolded = stays_open(section, wrong) or any(f in form.chosen() for f in more)
            with st.expander(f"{title} :red[:material/error:]" if wrong else title, expanded=unfolded):
                fields.draw(more, found, below)
                if section == "CoLoRA" and (told := fields.kinds_of_layers(values["backbone"])):
                    st.caption(show.literal(told))


def stays_open(section: str, wrong: bool) -> bool:
    """Whether a section is wrong, or was before: one that folded as it was put right would hide what was typed."""
    once = st.session_state.setdefault("launch-once-wrong", set())
    if wrong:
        once.add(section)
    return section in once


def below_fields(values: form.Values, every: list[form.Values], found: dict[str, str], asked: Questions) -> Below:
    """{field: draws what is below it} where that is more than a mark: answers, a download, a question, a wish."""
    special: Below = dict.fromkeys(start.wanting(values), ask_for)
    special |= answers_below(values, found) | downloads_below(every, found)
    for field in dict.fromkeys(one.field for one in asked):
        special[field] = questions.below(field, asked, special.get(field, fields.mark))
    return special


def ask_for(said: str | None) -> None:
    """What is still to be said, which is no mistake."""
    if said:
        st.caption(f":material/edit: {show.literal(said)}")


def review(
    values: form.Values,
    varied: form.Series,
    found: dict[str, str],
    images: list[Images],
    asked: Questions,
    offered: thorough.Offers | None,
) -> None:
    """What will run, and, once nothing stands in the way, what it takes and the button; beside All settings also the
    command that does the same."""
    st.subheader("What will run")
    with st.container():  # one place, however much is in it
        show_images(values, varied, found, images)
        if "dataset" in start.wanting(values):
            st.caption("Which images train, and how long it takes, stands here once the scans are known.")
    wanting = start.wanting(values) & found.keys()
    still = [one.field for one in asked if one.open]
    with one_of(2, 0 if found or still else 1):
        if found or still:
            bar.stands_in_the_way(sorted(wanting), [field for field in found if field not in wanting], still, values)
        else:
            ready(values, varied, images, offered)


def show_images(values: form.Values, varied: form.Series, found: dict[str, str], images: list[Images]) -> None:
    """What is trained on; of groups that differ in it each kind once."""
    shown = set()
    for one, (classes, cut) in zip(form.each_group(values, varied), images, strict=True):
        kind = _kind(one)
        if kind in shown:
            continue
        shown.add(kind)
        if cut:
            counts.show_cut(cut)
        elif classes and "per_class" not in found:
            folds = None if "folds" in found else one["folds"]
            counts.show_training(classes, one["train_set"], one["per_class"], folds)
        if classes:
            counts.show_resolved(classes)
        if not found.keys() & set(DATA_FIELDS):
            show_look(one)


def show_look(values: form.Values) -> None:
    """The one look at these data, or how far it is; of generated ones all is said."""
    if values["dataset"] == "phantom":
        return
    config = make_config({field: values[field] for field in DATA_FIELDS})
    try:
        looked = look.at(config)
        if looked.found:
            look.show_briefly(looked.found, config)
        elif looked.process:
            shown.look(looked.process, st.empty())
    except UserError as error:  # since a moment ago
        show.say(error)


def ready(
    values: form.Values, varied: form.Series, images: list[Images], offered: thorough.Offers | None
) -> None:
    """What it takes and the button; beside All settings, where no levels are `offered`, the parameters, the same as a
    command, the paper's protocol."""
    plain = offered is not None
    model, amount = st.container(), st.container()
    name, seeds = start.name(), parse_seeds(st.session_state["launch-seeds"])
    groups = form.groups(name, values, varied)
    names, each = list(groups), list(groups.values())
    plan.show_amount(names, seeds, each)
    engine, wrong = cluster.choose() if not plain or cluster.chosen() else ([], None)
    ended = limits.flags() if not engine else []  # a cluster has a time limit of its own
    arguments = plan.arguments_of(name, values, seeds, varied) + engine + ended
    configs = plan.labelled(each, varied)
    if not plain:
        cluster.show_script(names[0], seeds, engine)
        plan.show_command(arguments, each[0], varied)
        plan.show_protocol(configs, len(seeds))
    asked = zip(each, images, strict=True)
    classes = [len(config.class_names or (known.class_names if known else ())) or 4 for config, (known, _) in asked]
    measuring = offered.measuring if offered else None
    counting, estimating = model_questions(each, classes, [measuring] if measuring else [])
    pairs = zip(each, images, strict=True)
    saved = {config.cut: cut for config, (_, cut) in pairs if cut and not names_file(config.cut)}
    says, button = bar.place()
    with button:
        label = "Launch" if len(names) == 1 else f"Launch {len(names)} groups"
        about = {"needs": "launch", "disabled": bool(wrong), **bar.LOOK}
        pressed = acting.button(label, saved.values(), "launch-button", **about) is not None
    if pressed:
        with says:
            launch(groups, classes, seeds, arguments, engine, ended)
    with says:
        bar.show_refusal()
    line, what = says.empty(), bar.will_run(names, len(seeds), each)
    line.markdown(f"{what} · more is being measured on this computer …" if measuring else what)
    with model:  # last, since they can take seconds
        can_be_built = plain or plan.show_model(configs, classes, counting)
    with amount:  # of what cannot be built it would say the same once more
        if can_be_built and (time := plan.show_estimate(estimating, configs, images, len(seeds))):
            line.markdown(f"{what} · **{time}**")
    if measuring and plan.wait_for(measuring, classes[0]):
        st.rerun()


def launch(
    groups: dict[str, RunConfig],
    classes: list[int],
    seeds: list[int],
    arguments: list[str],
    engine: list[str],
    ended: list[str],
) -> None:
    """Start them, here where all is known already, else by the command with these `arguments`, and go to the Monitor
    page, or say why they cannot start; the form keeps what was typed."""
    st.session_state["launching"] = list(groups)
    try:
        with st.spinner("Checking data and network …", show_time=True):
            if not launched_here(groups, classes, seeds, engine, ended):
                run_colora([*arguments, "--runs-dir", str(runs_dir())], timeout=EACH_GROUP_SECONDS * len(groups))
    except UserError as error:
        del st.session_state["launching"]
        bar.refuse(str(error))
        return
    watch_launched()


def watch_launched() -> None:
    """Go to the Monitor page of the group just launched, also where a second click cut that short; of several groups to
    Overview."""
    names = st.session_state.pop("launching", None)
    if names and all((runs_dir() / name / "group.json").exists() for name in names):
        st.session_state["launched"] = True  # the form proposes another name when it is opened again
        if len(names) == 1:
            st.switch_page("pages/monitor.py", query_params={"group": names[0]})
        st.switch_page("pages/overview.py")


inside_app()
watch_launched()
st.header("Launch")
only_for("launch")
shown = downloads.Shown()
start.fill()
plain = ways.choose()
left, right = st.columns([3, 2], gap="large")
with left:
    offered = None
    if plain:
        values, offered = simple.begin()
    else:
        start.choose_start()
        values = thorough.begin_all()
    varied = form.series(values)
    every = form.each_group(values, varied)
    found = form.problems(values, varied)
    found = start.problems(values, varied) | found
    images = images_of(every, found)
    asked = questions.of_launch(every, start.seeds(), found)
    below = below_fields(values, every, found, asked)
    if offered:
        simple.draw(values, offered, found, below, shown)
    else:
        group_fields(found, below)
        settings(values, found, below)
        several.choose(fields.label, values, fields.mark)
        limits.draw(found)
    kept.keep(origin.current().typed)
with right:
    review(values, varied, found, images, asked, offered)
weights_asked.follow(shown)
shown.follow()
