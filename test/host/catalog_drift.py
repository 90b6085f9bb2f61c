#!/usr/bin/env python3
"""The catalogue of the core, the parameter table of the stand-in and the copied facts say the same.

Usage: catalog_drift.py --build DIR. Compares `gen --json`, `close-standin --tools` and test/data/tools.tsv
tool by tool; also that every tool and every table is named by some conformance case. Ends with
"N passed, N failed", one per tool and table.
"""
import argparse
import glob
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import facts  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def of_core(catalogue):
    """Tool -> set of (parameter, type, required)."""
    return {tool["name"]: {(p["name"], p["type"], p["required"]) for p in tool["params"]}
            for tool in catalogue["tools"]}


def of_standin(text):
    tools = {}
    for line in text.splitlines():
        words = line.split()
        params = tools.setdefault(words[0], set())
        if len(words) == 4:
            params.add((words[1], words[2], words[3] == "required"))
    return tools


def of_facts():
    return {name: {(p.name, p.json_type, p.required) for p in tool.params} for name, tool in facts.tools().items()}


def case_text():
    texts = []
    for path in glob.glob(os.path.join(ROOT, "test", "conformance", "*.case")):
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    return "\n".join(texts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    build = parser.parse_args().build
    catalogue = json.loads(output(os.path.join(build, "gen"), "--json"))
    core = of_core(catalogue)
    others = {"stand-in": of_standin(output(os.path.join(build, "close-standin"), "--tools")), "facts": of_facts()}
    cases = case_text()
    passed = failed = 0
    for name in sorted(set(core).union(*others.values())):
        wrong = [who for who, tools in others.items() if tools.get(name) != core.get(name)]
        if name not in cases:
            wrong.append("no conformance case")
        passed, failed = (passed, failed + 1) if wrong else (passed + 1, failed)
        if wrong:
            print(f"{name}: {', '.join(wrong)}")
    for table in catalogue["tables"]:
        if table["name"] in cases or "{%s}" % table["name"][len("close_"):] in cases:
            passed += 1
        else:
            failed += 1
            print(f"{table['name']}: no conformance case")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
