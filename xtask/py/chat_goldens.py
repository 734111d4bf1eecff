"""Writes crates/kelvin/fixtures/chat.json: chat templates, and what transformers makes of them.

    python -m venv .venv && .venv/bin/pip install transformers==5.23.0 jinja2==3.1.6
    .venv/bin/python xtask/py/chat_goldens.py

Development only: nothing in the build or in the tests runs it. The templates are our own; each uses what templates of
one family use: `plain` what those of Qwen2.5 do, `thinking` those of Qwen3, `dated` those of Llama 3, `odds` what is left.
A row says what went in and the text that came out, or the words of the template's own refusal.
"""

import datetime
import json
import pathlib

import tokenizers
import transformers
import transformers.utils.chat_template_utils as chat_template_utils

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/kelvin/fixtures/chat.json"
NOW = 1_735_689_599

PLAIN = """\
{%- macro turn(role, text) -%}
    <|open|>{{ role }}
{{ text }}<|close|>
{% endmacro -%}
{%- set opening = messages[0]['content'] if messages[0].role == 'system' else 'Be of use.' %}
{%- if tools %}
    {%- set listed = namespace(text='') %}
    {%- for tool in tools %}
        {%- set listed.text = listed.text + '\\n' + (tool | tojson) %}
    {%- endfor %}
    {{- turn('system', opening + "\\n\\nFunctions, one a line:" + listed.text + '\\nCall with {\\"name\\": <name>}.') }}
{%- else %}
    {{- turn('system', opening) }}
{%- endif %}
{%- for message in messages %}
    {%- set before = messages[loop.index0 - 1].role if not loop.first else none %}
    {%- set after = messages[loop.index].role if loop.index < loop.length else none %}
    {%- if message.role == 'tool' %}
        {{- '<|open|>user' if before != 'tool' }}
        {{- '\\n[result] ' + message['content'] }}
        {{- '<|close|>\\n' if after != "tool" }}
    {%- elif message.tool_calls %}
        {{- '<|open|>assistant' }}
        {%- if message.content %}{{ '\\n' + message.content }}{% endif %}
        {%- for call in message.tool_calls %}
            {%- set call = call.function if call.function is defined else call %}
            {{- '\\n[call] ' ~ call.name ~ ' ' ~ (call.arguments | tojson) }}
        {%- endfor %}
        {{- '<|close|>\\n' }}
    {%- elif not (loop.first and message.role == 'system') %}
        {{- turn(message.role, message.content) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|open|>assistant\\n' }}
{%- endif %}
"""

THINKING = """\
{%- set asked = namespace(at=-1) %}
{%- for message in messages[::-1] %}
    {%- if asked.at < 0 and message.role == 'user' and message.content is string %}
        {%- if not message.content.startswith('[result]') or not message.content.endswith('[/result]') %}
            {%- set asked.at = messages | length - loop.index %}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set said = message.content if message.content is string else '' %}
    {{- '<|open|>' ~ message.role ~ '\\n' }}
    {%- if message.role != 'assistant' %}
        {{- said }}
    {%- else %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in said %}
            {%- set thought = said.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set said = said.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if asked.at < loop.index0 and thought %}
            {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- said.lstrip('\\n') }}
        {%- for call in message.tool_calls or [] %}
            {{- '' if loop.first and not said else '\\n' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
        {%- endfor %}
    {%- endif %}
    {{- '<|close|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|open|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

DATED = """\
{{- bos_token }}
{%- if not day is defined %}
    {%- if strftime_now is defined %}
        {%- set day = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set day = "no day" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined or more_tools is defined %}
    {%- set tools = more_tools %}
{%- endif %}
{%- set rest = messages %}
{%- set rules = "" %}
{%- if messages[0]['role'] == 'system' %}
    {%- set rules = messages[0]['content']|trim %}
    {%- set rest = messages[1:] %}
{%- endif %}
{{- "<|head|>system<|/head|>\\n\\nDay: " + day + "\\n\\n" + rules }}
{%- if tools is not none %}
    {%- if rest | length == 0 %}
        {{- raise_exception("Functions need a first message of a user!") }}
    {%- endif %}
    {%- for tool in tools %}
        {{- "\\n\\n" }}
        {{- tool | tojson(indent=4) }}
    {%- endfor %}
{%- endif %}
{{- eos_token }}
{%- for message in rest %}
    {%- if 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|head|>assistant<|/head|>\\n\\n' -}}
        {{- call.name + ': ' }}
        {{- call.arguments | tojson }}
    {%- elif message.role == 'tool' %}
        {{- "<|head|>result<|/head|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
    {%- else %}
        {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n' + message['content'] | trim }}
    {%- endif %}
    {{- eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\\n\\n' }}
{%- endif %}
"""

ODDS = """\
{% macro show(name, value, sep=': ') -%}
    {{ name ~ sep }}{{ value }}
{%- endmacro %}
{% for message in messages %}
    {% if message.role == 'skip' %}{% continue %}{% endif %}
    {% if message.role == 'stop' %}{% break %}{% endif %}
    {% if message.role == 'assistant' %}
{{ message.role|upper }}|{% generation %}{{ message.content }}{% endgeneration %}|
    {%- else %}
{{ message.role | capitalize }}|{{ message.content.strip().replace('a', 'A') }}|{{ loop.index }}/{{ loop.length }}
    {%- endif %}

{% endfor %}
{# a comment #}
{{ show('true', true) }} {{ show('none', none) }} {{ show('list', [1, 'x', "it's", none, 2.0, {'k': false}], sep='=') }}
{{ [1.0, 0.1, 1e16, 1e-5, 12345678901234567890] | tojson }} {{ {'b': '\\u00e9<&>"', 'a': [], 'c': {}} | tojson }}
{{ {'b': 1, 'a': [1, {'z': none}]} | tojson(indent=2, sort_keys=true) }} {{ 'caf\\u00e9\\n' | tojson(ensure_ascii=true) }}
{{ {'k': [1, 2]} | tojson(separators=(',', ':')) }} {{ '%s-%02d' | format('n', 7) }} {{ "abc"[::-1] }} {{ [3, 1, 2] | sort | join(', ') }}
{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | length }} {{ messages | map(attribute='role') | unique | join(',') }}
{{ missing is defined }} {{ missing }} {{ eos_token is defined }} {{ unk_token is defined }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ 7 % 4 }} {{ 'a' if false }}
{%- for key, value in {'x': 1, 'y': 2}.items() %} {{ key }}={{ value }}{% endfor %}
{%- set ns = namespace(n=0) %}{% for i in range(4) if i is odd %}{% set ns.n = ns.n + i %}{% endfor %} n={{ ns.n }}
{{ 'a b  c'.split() | length }} {{ 'a,b,c'.split(',', 1)[1] }} {{ 'Title case'.title() }} {{ 'x'.upper() in ['X'] }} {{ messages[-1].role }} {{ 'x' ~ 1 ~ true }}
{%- if documents %} documents{% endif %}{% if tools is none %} no tools{% endif %}

"""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weigh",
            "description": "Weighs a <thing> & says \"how much\" in caf\u00e9s \u4f60.",
            "parameters": {
                "type": "object",
                "properties": {"thing": {"type": "string"}, "scale": {"type": "number", "default": 0.5}},
                "required": ["thing"],
            },
        },
    }
]
USER = {"role": "user", "content": "  What weighs <more>? \n"}
SYSTEM = {"role": "system", "content": " Be brief. "}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "weigh", "arguments": {"thing": "a \"b\"", "scale": 1.0}}}],
}
RESULT = {"role": "tool", "content": "3 kg"}
THOUGHT = {"role": "assistant", "content": "<think>\n\nhm, \u4f60\n</think>\n\nLead."}
REASONED = {"role": "assistant", "content": "\nLead.", "reasoning_content": "\nhm\n"}
# Template, messages, tools, variables.
CASES = [
    ("plain", [USER], None, {}),
    ("plain", [SYSTEM, USER], None, {"add_generation_prompt": False}),
    ("plain", [SYSTEM, USER, CALL, RESULT, RESULT, THOUGHT, USER], TOOLS, {}),
    ("plain", [USER, {"role": "assistant", "content": "Lead."}, SYSTEM, USER], TOOLS, {}),
    ("thinking", [USER], None, {}),
    ("thinking", [USER], None, {"enable_thinking": False}),
    ("thinking", [USER], None, {"enable_thinking": True}),
    ("thinking", [SYSTEM, USER, THOUGHT, USER, THOUGHT], None, {"add_generation_prompt": False}),
    ("thinking", [USER, REASONED, {"role": "user", "content": "[result]1[/result]"}, REASONED], None, {}),
    ("thinking", [USER, {**CALL, "content": "x", "tool_calls": [{"arguments": "{}"}, {"arguments": {"a": [1, 2]}}]}], None, {}),
    ("dated", [USER], None, {}),
    ("dated", [SYSTEM, USER], None, {"day": "1 Jan 2000"}),
    ("dated", [SYSTEM, USER, CALL, {"role": "tool", "content": {"kg": 3, "of": ["lead"]}}], TOOLS, {}),
    ("dated", [SYSTEM, USER], None, {"more_tools": TOOLS}),
    ("dated", [SYSTEM], TOOLS, {}),
    ("dated", [USER, {**CALL, "tool_calls": []}], None, {}),
    ("odds", [USER, {"role": "skip", "content": ""}, {"role": "assistant", "content": "Lead."}, {"role": "stop", "content": ""}, USER], None, {}),
]
TEMPLATES = dict(plain=PLAIN, thinking=THINKING, dated=DATED, odds=ODDS)


def main():
    class Clock(datetime.datetime):
        @classmethod
        def now(cls):
            return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc)

    chat_template_utils.datetime = Clock
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<s>": 0, "</s>": 1, "<u>": 2}, unk_token="<u>"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    rows = []
    for name, messages, tools, variables in CASES:
        row = dict(template=name, messages=messages, tools=tools, variables=variables)
        arguments = {"add_generation_prompt": True, **variables}
        try:
            row["text"] = tokenizer.apply_chat_template(
                messages, chat_template=TEMPLATES[name], tools=tools, tokenize=False, **arguments
            )
        except Exception as error:
            row["refusal"] = str(error)
        rows.append(row)
    tokens = dict(bos_token=dict(content="<s>", special=True), eos_token="</s>")
    versions = dict(transformers=transformers.__version__)
    fixture = dict(versions=versions, now=NOW, tokenizer=tokens, templates=TEMPLATES, rows=rows)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(fixture, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
