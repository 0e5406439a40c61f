"""The script of the viewer as modules: how they are joined, and their own tests, which node runs."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import gradio as gr
import playwright

from app.viewer.component import LinkedViewer
from app.viewer.scene import VIEWER_KEYS
from app.viewer.script import MODULES, SOURCE_FOLDER, join_modules, join_styles

SCRIPT = join_modules()
STYLE = join_styles()
NODE = Path(playwright.__file__).parent / "driver" / ("node.exe" if os.name == "nt" else "node")


def sources() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in SOURCE_FOLDER.glob("*.js")}


def node(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    assert NODE.is_file(), f"Playwright has brought no node to {NODE}"
    return subprocess.run([str(NODE), *arguments], input=text, capture_output=True, text=True, timeout=600, check=False)


def test_pure_modules_pass_their_own_tests():
    files = sorted(Path(__file__).with_name("modules").glob("*.test.mjs"))
    assert len(files) >= 5
    result = node("--test", "--test-reporter=tap", *map(str, files))
    assert result.returncode == 0, result.stdout + result.stderr
    assert int(re.search(r"^# pass (\d+)$", result.stdout, flags=re.MULTILINE)[1]) >= 25
    assert "# fail 0" in result.stdout


def test_all_modules_are_joined_each_after_those_it_extends():
    assert sorted(MODULES) == sorted(sources())
    for name, text in sources().items():
        imported = dict(re.findall(r"^import \{ ([^}]+) \} from \"\./(\w+)\.js\";$", text, flags=re.MULTILINE))
        assert text.count("\nimport ") + text.startswith("import ") == len(imported), f"{name}: an unusual import"
        for base in re.findall(r"class \w+ extends (\w+)", text):
            origin = next((module for words, module in imported.items() if base in words.split(", ")), name)
            assert MODULES.index(origin) <= MODULES.index(name)


def test_no_name_occurs_twice_in_the_joined_script():
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", SCRIPT, flags=re.MULTILINE)
    assert len(names) > 100
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert not re.search(r"^(import|export)\b", SCRIPT, flags=re.MULTILINE)


def test_the_joined_script_is_a_function_body():
    result = node("--check", "-", text=f"(function (element, trigger, props, server, upload, watch) {{\n{SCRIPT}\n}});")
    assert result.returncode == 0, result.stderr
    assert node("--check", "-", text="(function () { const a = 1; const a = 2; });").returncode != 0


def test_modules_are_of_a_size_to_be_read():
    assert {name: text.count("\n") for name, text in sources().items() if text.count("\n") > 280} == {}


def test_reserved_keys_are_those_of_the_script():
    text = sources()["keys"]
    actions = text[text.index("const ACTIONS = {") : text.index("};")]
    assert sorted(re.findall(r"^  ([a-z]): ", actions, flags=re.MULTILINE)) == sorted(VIEWER_KEYS)


def test_no_word_of_the_script_is_taken_for_an_event_by_gradio():
    # A component of `gr.HTML` has each word in quotes as an event, those that name its own settings, too: its config
    # then holds the component itself, and Gradio copies all of the page when somebody opens it.
    with gr.Blocks():
        config = LinkedViewer().get_config()
    assert [name for name, value in config.items() if callable(value)] == []


def test_files_are_safe_in_gradio_templates_and_load_nothing_from_elsewhere():
    # Gradio reads the style sheet as a Handlebars template and as a JavaScript template string.
    for special in ("`", "${", "\\", "{{", "@import", "url("):
        assert special not in STYLE
    for text in (SCRIPT.replace("http://www.w3.org/2000/svg", ""), STYLE):
        assert "//" not in re.sub(r"^.*?(?://|/\*).*$|^ \*.*$", "", text, flags=re.MULTILINE)
    for way_in in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval("):
        assert way_in not in SCRIPT
