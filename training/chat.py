"""The chat format: ChatML turns, with tools in the Hermes style.

render() and CHAT_TEMPLATE (Jinja, stored in the GGUF) must give the same text;
evaluate.py checks that they do.
"""
import json

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# Shown to the user and needed by parsers, so these are "user defined", not control tokens.
MARKUP = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
RESERVED = [f"<|reserved_{i}|>" for i in range(16)]

TOOLS_HEAD = ("# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
              "You are provided with function signatures within <tools></tools> XML tags:\n<tools>")
TOOLS_TAIL = ("\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
              "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>")

CHAT_TEMPLATE = (
    "{%- if tools %}"
    "{{- '<|im_start|>system\\n' }}"
    "{%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] + '\\n\\n' }}{%- endif %}"
    "{{- " + json.dumps(TOOLS_HEAD) + " }}"
    "{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}"
    "{{- " + json.dumps(TOOLS_TAIL) + " + '<|im_end|>\\n' }}"
    "{%- elif messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'user' or (message['role'] == 'system' and not loop.first) %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- elif message['role'] == 'assistant' %}"
    "{{- '<|im_start|>assistant' }}"
    "{%- if message['content'] %}{{- '\\n' + message['content'] }}{%- endif %}"
    "{%- if message['tool_calls'] %}{%- for call in message['tool_calls'] %}"
    "{%- if call['function'] %}{%- set call = call['function'] %}{%- endif %}"
    "{{- '\\n<tool_call>\\n{\"name\": \"' + call['name'] + '\", \"arguments\": ' }}"
    "{%- if call['arguments'] is string %}{{- call['arguments'] }}{%- else %}{{- call['arguments'] | tojson }}{%- endif %}"
    "{{- '}\\n</tool_call>' }}"
    "{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- elif message['role'] == 'tool' %}"
    "{%- if loop.first or messages[loop.index0 - 1]['role'] != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}"
    "{{- '\\n<tool_response>\\n' + message['content'] + '\\n</tool_response>' }}"
    "{%- if loop.last or messages[loop.index0 + 1]['role'] != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def _assistant(m):
    out = "\n" + m["content"] if m.get("content") else ""
    for c in m.get("tool_calls") or []:
        c = c.get("function", c)
        out += f'\n<tool_call>\n{{"name": "{c["name"]}", "arguments": {json.dumps(c["arguments"], ensure_ascii=False)}}}\n</tool_call>'
    return out


def pieces(messages, tools=None):
    """The rendered text as (text, is_target) pieces; targets are what the assistant writes."""
    out = []
    system = messages[0]["content"] if messages and messages[0]["role"] == "system" else None
    if tools:
        head = system + "\n\n" if system is not None else ""
        listing = "".join("\n" + json.dumps(t, ensure_ascii=False) for t in tools)
        out.append(("<|im_start|>system\n" + head + TOOLS_HEAD + listing + TOOLS_TAIL + "<|im_end|>\n", False))
    elif system is not None:
        out.append(("<|im_start|>system\n" + system + "<|im_end|>\n", False))
    for i, m in enumerate(messages):
        role = m["role"]
        if role == "user" or (role == "system" and i):
            out.append((f"<|im_start|>{role}\n{m['content']}<|im_end|>\n", False))
        elif role == "assistant":
            text = _assistant(m)
            # The newline after "assistant" belongs to the generation prompt.
            out += [("<|im_start|>assistant\n", False), (text[1:] + "<|im_end|>", True), ("\n", False)]
        elif role == "tool":
            first = i == 0 or messages[i - 1]["role"] != "tool"
            last = i + 1 == len(messages) or messages[i + 1]["role"] != "tool"
            out.append((("<|im_start|>user" if first else "") + f"\n<tool_response>\n{m['content']}\n</tool_response>" + ("<|im_end|>\n" if last else ""), False))
    return out


def render(messages, tools=None, add_generation_prompt=False):
    text = "".join(t for t, _ in pieces(messages, tools))
    return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")
