"""Every text on a page that is not the app's own goes through `show.literal`: looked up in the source of all pages.

Streamlit reads Markdown in most of what a page says, in labels and help too. What is said there must be made of the
app's own words, of numbers, and of what a function of SAFE has written; whatever else it is stands in REVIEWED, with a
reason. `test_hostile_texts` looks at the pages themselves, as they are drawn over hostile files.
"""

import ast
from collections.abc import Iterator

import pytest

from colora.system.installation import ROOT

SOURCES = {str(path.relative_to(ROOT)): path for path in [*sorted((ROOT / "pages").rglob("*.py")), ROOT / "app.py"]}
TEXTS = ("markdown", "caption", "header", "subheader", "title", "info", "success", "warning", "error", "toast", "tell")
LABELS = ("badge", "button", "checkbox", "date_input", "dialog", "download_button", "expander", "file_uploader",
          "metric", "multiselect", "number_input", "page_link", "pills", "popover", "pressed", "progress", "radio",
          "segmented_control", "select_slider", "selectbox", "slider", "spinner", "text_area", "text_input",
          "toggle")  # fmt: skip
FIRST = dict.fromkeys((*TEXTS, *LABELS), (0,))  # the arguments by position that are Markdown
FIRST |= {"metric": (0, 1), "page_link": (), "progress": (1,), "image": ()}
OURS = {  # which say what they are given, and where: so those who call them are looked at
    "tell": (0,), "caption": (0,), "pressed": (0, 3), "show_figure": (1, 2), "card": (1,), "start_button": (1,),
    "sheet": (7,), "do": (0,), "_share": (1, 3), "_amount": (1, 4), "chosen_group": (0,), "found_group": (0,),
    "own_samples": (2,), "show_counts": (2,), "_with_bar": (1,), "_answer": (2,), "_all_answers": (2,), "_bound": (1,),
    "_one_or_none": (1,), "choose_score": (1,), "draw": (1,), "button": (0,),
    "spread_card": (1, 2), "interval_card": (1, 2), "launch_name": (0, 1),
}  # fmt: skip
NAMED = {"body", "title", "label", "help", "text", "caption", "captions", "meaning", "says", "value"}
NOT_READ = {"text_input": {"value"}, "number_input": {"value"}, "text_area": {"value"}, "slider": {"value"}}
CHOICES = ("pills", "radio", "segmented_control", "select_slider")  # whose options are Markdown too
COLUMNS = ("Column", "TextColumn", "NumberColumn", "ProgressColumn", "ButtonColumn", "MultiselectColumn")
FORBIDDEN = ("write", "write_stream", "latex", "table", "toast", "tabs", "link_button", "menu_button", "chat_message",
             "MarkdownColumn", "LinkColumn")  # fmt: skip
ELSEWHERE = {("shown", "progress"), ("self", "progress"), ("acting", "pressed"), ("fields", "draw"),
             ("simple", "draw")}  # not Streamlit's
SAFE = {  # write what they are given as it is, or nothing but numbers and words of the app
    "literal", "brief", "three", "size_text", "duration", "span", "compact", "amount", "progress_text", "free_room",
    "len", "sum", "min", "max", "int", "str.format", "counted", "counts_text", "config_checksum", "format_seeds",
    "chosen_on", "model_title", "method_title", "score_title", "spread_text", "says_reached", "label", "_label",
    "tells_apart", "behind", "few_places", "split_label", "explains", "explained",
}  # fmt: skip
KEEPS = ("lower", "upper", "strip", "partition", "removeprefix", "removesuffix", "replace")  # no more than it was
PASSED = "is given by those who call it, which are looked at"
NUMBER = "a number, or a word of few: what reads the file lets nothing else through"
OWN = "words of the app's own, and numbers"
REVIEWED = {  # {file: {why: what is said there}}
    "pages/components/acting.py": {PASSED: ["label", "key"]},
    "pages/components/sign_in.py": {
        PASSED: ["notice"],
        OWN: ["found.person.role"],
        "the problem of it, literal": ["found"],
    },
    "pages/overview.py": {"names, each literal": ["who"]},
    "pages/components/cluster.py": {OWN: ["Site.model_fields[name].description"]},
    "pages/components/data/counts.py": {PASSED: ["note"], NUMBER: ["cut.short_hash"]},
    "pages/components/data/duplicates.py": {OWN: ["titles.get"], "its notes, each literal": ["said_of_cut(found)"]},
    "pages/components/data/look.py": {OWN: ["words"]},
    "pages/components/evaluate/shift.py": {"its name literal": ["beyond(split, own, found.images[split])"]},
    "pages/components/evaluate/subgroups.py": {OWN: ["_title(figure)", "_title"]},
    "pages/components/data/downloads.py": {
        PASSED: ["label", "title"],
        OWN: ["target.title", "target.whole", "target.file.checksum_text", "_amount_here(target, shown)"],
    },
    "pages/components/distil/cut_preview.py": {OWN: ["left", "right", "shared.dropped", "shared.kept"]},
    "pages/components/distil/cut_rule.py": {OWN: ["_kind_title"]},
    "pages/components/elsewhere.py": {NUMBER: ["changes(drawn, now)"]},
    "pages/components/evaluate/confusions.py": {OWN: ["view.model()", "how_it_counts(view)", "whose[:-2]"]},
    "pages/components/evaluate/frozen.py": {OWN: ["why_not(view)"]},
    "pages/components/evaluate/headlines.py": {PASSED: ["title", "meaning"], OWN: ["found.reason", "found.method"]},
    "pages/components/evaluate/operating_point.py": {OWN: ["question.choice.says().capitalize()"]},
    "pages/components/explain/looking.py": {
        PASSED: ["label"],
        OWN: ["method.title", "method.about", "method.source", "lambda name: METHODS[name].title", "looking.whose",
              "checks.verdict", "sentence"],
    },
    "pages/components/group_actions.py": {PASSED: ["label", "meaning"], NUMBER: ["bool(groups)"]},
    "pages/components/images/hardest.py": {PASSED: ["title"]},
    "pages/components/images/listed.py": {
        PASSED: ["label", "options"],
        OWN: ["names.get"],
        "`classes` names show.literal": ["class_names"],
    },
    "pages/components/images/map_view.py": {OWN: ["what_it_is(ground, chosen_list)"]},
    "pages/components/images/one_image.py": {
        NUMBER: [
            "run.seed",
            "run_summary(run)['selected_epoch']",
            "{run.seed: run for run in group.runs if run.seed in found.seeds}",
        ],
    },
    "pages/components/images/pictures.py": {PASSED: ["doing"]},
    "pages/components/images/scored.py": {NUMBER: ["about['state']"]},
    "pages/components/images/verdict_list.py": {NUMBER: ["first", "last", "added['added']", "added['known']"]},
    "pages/components/launch/fields.py": {PASSED: ["label", "says"]},
    "pages/components/launch/bar.py": {
        "names of fields and groups, each literal": ["_listed(those, values)", "what"],
    },
    "pages/components/launch/questions.py": {"its names literal": ["asked"]},
    "pages/components/launch/scans.py": {
        OWN: ["st.segmented_control('Which scans?', options, key=KEY, required=True, label_visibility='collapsed', "
              "on_change=_turned, persist_state='session')"],
    },
    "pages/components/launch/thorough.py": {
        OWN: ["offered.each[name].says()", "_title"],
        "its seeds literal": ["_own()"],
    },
    "pages/components/launch/plan.py": {
        PASSED: ["doing"],
        NUMBER: ["seeds[0]", "dict.fromkeys((str(config.epochs) for config in configs))", "classes[0]", "seeds",
                 "rows[0].device"],
        OWN: ["next((one['busy'] for one in answers if one['busy']), None)", "busy_now(rows[0].device)", "p.paper",
              "points[0].paper"],
    },
    "pages/components/launch/several.py": {OWN: ["label"]},
    "pages/components/launch/start.py": {"is literal where it quotes": ["origin.says(filled)"]},
    "pages/components/leaks.py": {"names, each literal": ["_names(whose, groups)"]},
    "pages/components/machine.py": {PASSED: ["title", "text", "word"], NUMBER: ["gpu.index", "found.cores"]},
    "pages/components/monitor/run_actions.py": {
        PASSED: ["label", "meaning", "doing"],
        NUMBER: ["str(run.seed)", "run.seed", "run.state", "run.status['epoch']", "run.status['epochs']"],
    },
    "pages/components/picker/dialog.py": {PASSED: ["label"]},
    "pages/components/removed.py": {PASSED: ["rest"]},
    "pages/components/runs.py": {PASSED: ["what"], NUMBER: ["row['seed']"]},
    "pages/components/show.py": {
        PASSED: ["title", "says"],
        NUMBER: ["state"],
        "of literal cells and headings, for all pages": ["st.table"],
    },
    "pages/data.py": {
        PASSED: ["text"],
        OWN: ["facts.urls[SIZES[0]].partition('/files/')[0]", "size",
              "st.selectbox('Size', SIZES, index=len(SIZES) - 1, format_func='{} px'.format, key='offline-size')"],
    },
    "pages/evaluate.py": {
        "of the parts' own names": ["st.tabs"],
        NUMBER: ["about['best_seed']", "map(str, range(1, max((row['epoch'] for row in learnt)) + 1))",
                 "data['image_size']", "about['state']"],
        OWN: ["rule['says']"],
    },
    "pages/launch.py": {
        "its names literal": ["bar.will_run(names, len(seeds), each)"],
        OWN: ["plan.show_estimate(estimating, configs, images, len(seeds))"],
    },
    "pages/predict.py": {NUMBER: ["about['state']"]},
    "pages/components/predict/folder.py": {PASSED: ["label"]},
    "pages/components/predict/one_answer.py": {
        NUMBER: ["about['best_seed']"],
        OWN: ["answer.capitalize()", "show.estimate_text(Estimate(**asked[name]))", "sentence", "found['says']",
              "met['says']"],
    },
    "pages/components/predict/volume.py": {OWN: ["whole['rule']"]},
    "pages/monitor.py": {
        NUMBER: ["seeds[0]", "map(str, seeds)", "state", "run.seed", "row['seed']", "row['place']",
                 "own[0]['priority']"],
    },
}  # fmt: skip


def called(call: ast.Call) -> tuple[str | None, str]:
    """("st", "caption") of `st.caption(...)`."""
    if isinstance(call.func, ast.Attribute):
        return (call.func.value.id if isinstance(call.func.value, ast.Name) else None), call.func.attr
    return None, call.func.id if isinstance(call.func, ast.Name) else ""


def is_constant(node: ast.expr) -> bool:
    """Whether it is taken out of a table of the module: TITLES[name], STATES.items(), plots.METRIC_NAMES."""
    while isinstance(node, ast.Subscript | ast.Call | ast.Attribute):
        if isinstance(node, ast.Attribute) and node.attr.isupper():
            return True
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id.isupper()


class Source:
    """One file: what stands in it where Markdown is read, and is not safe by itself."""

    def __init__(self, code: str):
        self.tree = ast.parse(code)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def said(self) -> Iterator[tuple[int, str]]:
        """(line, expression) of each."""
        for call in (node for node in ast.walk(self.tree) if isinstance(node, ast.Call)):
            module, name = called(call)
            if module == "st" and (name in FORBIDDEN or (name == "html" and list(self.unsafe(call.args[0])))):
                yield call.lineno, f"st.{name}"
            places = FIRST.get(name) if module and name in FIRST else OURS.get(name)
            if (module, name) in ELSEWHERE or (places is None and name not in COLUMNS):
                continue
            said = [argument for place, argument in enumerate(call.args) if place in (places or ())]
            for keyword in call.keywords:
                if keyword.arg is None:
                    said += self.of_options(keyword.value)
                elif keyword.arg in NAMED - NOT_READ.get(name, set()):
                    said.append(keyword.value)
            if name in CHOICES:
                said += self.options(call)
            for argument in said:
                for unsafe in self.unsafe(argument):
                    yield call.lineno, ast.unparse(unsafe)

    def options(self, call: ast.Call) -> list[ast.expr]:
        """What is read of the options: what `format_func` makes of them, else they themselves."""
        for keyword in call.keywords:
            if keyword.arg == "format_func":
                name = called(ast.Call(keyword.value, [], []))[1]
                return [] if name in SAFE or is_constant(keyword.value) else [keyword.value]
        return call.args[1:2]

    def of_options(self, node: ast.expr) -> list[ast.expr]:
        """The texts in `**{"label": ..., "help": ...}`, as far as it is written in this file."""
        if isinstance(node, ast.BinOp):
            return self.of_options(node.left) + self.of_options(node.right)
        if isinstance(node, ast.Name):
            found = self.bound(node)
            return [text for value, _ in found or () for text in self.of_options(value)] if found else [node]
        if isinstance(node, ast.Dict):
            pairs = [(key.value, value) for key, value in zip(node.keys, node.values, strict=True) if key]
            inside = [text for key, value in zip(node.keys, node.values, strict=True) if not key
                      for text in self.of_options(value)]  # fmt: skip
            return inside + [value for name, value in pairs if name in NAMED]
        return [node]

    def bound(self, name: ast.Name) -> list[tuple[ast.expr, bool]] | None:
        """What a name may stand for: (value, whether it is only one of its items); None of a parameter."""
        scope: ast.AST | None = name
        while scope := self.parents.get(scope):
            if not isinstance(scope, ast.FunctionDef | ast.Lambda | ast.Module):
                continue
            if found := [pair for node in ast.walk(scope) for pair in self.binds(node, name.id)]:
                return found
            if not isinstance(scope, ast.Module) and name.id in {argument.arg for argument in scope.args.args}:
                return None
        return None

    @staticmethod
    def binds(node: ast.AST, name: str) -> Iterator[tuple[ast.expr, bool]]:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value:
            targets, value = [node.target], node.value
        elif isinstance(node, ast.For | ast.comprehension):
            if any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node.target)):
                yield node.iter, True
            return
        for target in targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield value, False
            elif isinstance(target, ast.Tuple):
                for place, part in enumerate(target.elts):
                    if isinstance(part, ast.Name) and part.id == name:
                        alike = isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts)
                        yield (value.elts[place], False) if alike else (value, True)

    def unsafe(self, node: ast.expr | None, seen: tuple[str, ...] = ()) -> Iterator[ast.expr]:
        """The parts of an expression that may be anything."""
        match node:
            case None | ast.Constant() | ast.Compare():
                return
            case _ if is_constant(node):
                return
            case ast.JoinedStr(values=parts):
                for part in parts:
                    if isinstance(part, ast.FormattedValue) and not is_number(part.format_spec):
                        yield from self.unsafe(part.value, seen)
            case ast.BinOp(left=left, right=right):
                yield from self.unsafe(left, seen)
                if not isinstance(node.op, ast.Mult):
                    yield from self.unsafe(right, seen)
            case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
                for part in parts:
                    yield from self.unsafe(part, seen)
            case ast.IfExp(body=body, orelse=orelse):
                yield from self.unsafe(body, seen)
                yield from self.unsafe(orelse, seen)
            case ast.ListComp(elt=value) | ast.GeneratorExp(elt=value):
                yield from self.unsafe(value, seen)
            case ast.NamedExpr(value=value) | ast.Starred(value=value):
                yield from self.unsafe(value, seen)
            case ast.Subscript(value=value) if not list(self.unsafe(value, seen)):
                return
            case ast.Call(args=arguments):
                yield from self.of_call(node, called(node)[1], arguments, seen)
            case ast.Name(id=name):
                if name in seen:
                    return
                found = self.bound(node)
                if not found:
                    yield node
                for value, an_item in found or ():
                    if an_item and not is_constant(value) and not isinstance(value, ast.Tuple | ast.List):
                        if not (isinstance(value, ast.Call) and called(value)[1] in {*SAFE, "range"}):
                            yield node
                    else:
                        yield from self.unsafe(value, (*seen, name))
            case _:
                yield node

    def of_call(
        self, node: ast.Call, name: str, arguments: list[ast.expr], seen: tuple[str, ...]
    ) -> Iterator[ast.expr]:
        if name in SAFE or (name == "map" and called(ast.Call(arguments[0], [], []))[1] in SAFE):
            return
        if name in ("join", "list", "filter", "sorted"):
            for argument in arguments:
                yield from self.unsafe(argument, seen)
        elif name in KEEPS and isinstance(node.func, ast.Attribute):
            yield from self.unsafe(node.func.value, seen)
        else:
            yield node


def is_number(spec: ast.expr | None) -> bool:
    """Whether a format asks for a number: `{n:,}`, `{share:.0%}`, `{value:g}`."""
    if not isinstance(spec, ast.JoinedStr):
        return False
    text = "".join(str(part.value) for part in spec.values if isinstance(part, ast.Constant))
    return text[-1:] in tuple("d,%efg")


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_page_says_is_the_apps_own_or_literal(name):
    reviewed = {expression for expressions in REVIEWED.get(name, {}).values() for expression in expressions}
    found = {expression: line for line, expression in Source(SOURCES[name].read_text()).said()}
    new = {expression: f"{name}, line {line}" for expression, line in found.items() if expression not in reviewed}
    assert not new, "Markdown is read there: write show.literal(...), or review it"
    assert reviewed <= found.keys(), "reviewed, and not there any more"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('st.caption(f"{group.name} is here")', ["group.name"]),
        ('st.caption(f"{show.literal(group.name)} is here, {n:,} times")', []),
        ('def f(name):\n    place.markdown("**" + name + "**")', ["name"]),
        ('text = "a"\ntext += run.reason\nst.warning(text, icon="b")', ["run.reason"]),
        ('for name in names_of(group):\n    st.expander(name)', ["name"]),
        ('for name, title in TITLES.items():\n    st.expander(title)', []),
        ('st.button("a", help=cut.name)', ["cut.name"]),
        ('st.pills("a", class_names)', ["class_names"]),
        ('st.pills("a", class_names, format_func=str)', ["str"]),
        ('st.pills("a", class_names, format_func=show.literal)', []),
        ('about = {"help": note} | {"key": note}\nst.button("a", **about)', ["note"]),
        ('st.column_config.TextColumn(help=class_name)', ["class_name"]),
        ('st.write(group.name)', ["st.write"]),
        ('st.html(f"<b>{name}</b>")', ["st.html"]),
        ('st.image(content, caption=names)', ["names"]),
        ('st.metric("a", value)', ["value"]),
        ('st.caption(" · ".join(map(show.literal, parts)))', []),
        ('st.caption(", ".join(run.reason for run in runs))', ["run.reason"]),
    ],
)
def test_what_is_found(code, found):
    assert [expression for _, expression in Source(f"import streamlit as st\n{code}\n").said()] == found
