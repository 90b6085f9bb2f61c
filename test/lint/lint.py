#!/usr/bin/env python3
"""The checks of `make lint` that are not a compiler's: rules of the project over its own tree.

Usage: lint.py --build DIR. Prints one line per finding; "N passed, N failed" at the end counts rules.
"""
import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FORMATTED = ("src", "sqlite_ext", "pg_ext", "test/server", "test/unit", "test/fuzz", "test/sqlite",
             "test/bench")
PRODUCT = ("src/", "sqlite_ext/", "pg_ext/")

# Lower modules first: a file may include only core headers; the order of dependency is kept by
# the sections of clo_int.h, and here by what each file may not mention.
MUST_NOT_MENTION = {
    "src/http.c": r"json_object|clo_json_|clo_tool\b",
    "src/retry.c": r"\bCURL\b|curl_|clo_json_",
    "src/plan.c": r"curl_|clo_http_|clo_json_",
    "src/cursor.c": r"curl_|clo_http_",
    "src/value.c": r"curl_|clo_http_|clo_call",
    "src/config.c": r"curl_|clo_call",
}
KNOW_CURL = ("src/http.c", "src/headers.c", "src/sockets.c")
BANNED = re.compile(
    r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup|sprintf|vsprintf|strcpy|strcat|strtok|atoi|atol|"
    r"alloca|gets|printf|puts|exit|abort|asprintf)\s*\(")
MAY_ALLOCATE = {"src/mem.c"}
IS_PROGRAM = {"src/gen.c"}


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return [line for line in out.splitlines() if os.path.exists(os.path.join(ROOT, line))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def strip_comments(text):
    """Blanks comments and literals, keeping line numbers."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def c_files():
    return [p for p in tracked("*.c", "*.h") if p.startswith(FORMATTED)]


def rule_format():
    """clang-format leaves every C file as it is."""
    for path in c_files():
        done = subprocess.run(["clang-format", "--dry-run", "-Werror", path], cwd=ROOT, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            yield done.stderr.splitlines()[0]


def rule_banned():
    """Banned functions in product code."""
    for path in c_files():
        if not path.startswith(PRODUCT) or path in IS_PROGRAM:
            continue
        for number, line in enumerate(strip_comments(read(path)).splitlines(), 1):
            for match in BANNED.finditer(line):
                if path in MAY_ALLOCATE and match.group(1) in ("malloc", "realloc", "free", "calloc"):
                    continue
                if path == "src/mem.c" and match.group(1) == "abort":
                    continue
                yield f"{path}:{number}: {match.group(1)} is banned"


def rule_includes():
    """Hosts include clo.h only; json-c and libcurl stay in one file each; no host header in the core."""
    for path in c_files():
        for number, line in enumerate(read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*[<"]([^">]+)[">]', line)
            if not match:
                continue
            name = match.group(1)
            if path.startswith(("sqlite_ext/", "pg_ext/")) and name == "clo_int.h":
                yield f"{path}:{number}: hosts include only clo.h"
            if path.startswith("src/"):
                if name.startswith(("sqlite3", "postgres", "fmgr")):
                    yield f"{path}:{number}: the core knows no host"
                if name.startswith(("json.h", "json-c", "json_")) and path != "src/json.c":
                    yield f"{path}:{number}: only json.c includes json-c"
                if name.startswith("curl/") and path != "src/http.h":
                    yield f"{path}:{number}: only http.h includes libcurl"
                if name == "http.h" and path not in KNOW_CURL:
                    yield f"{path}:{number}: http.h is for {', '.join(KNOW_CURL)}"


def rule_layers():
    """A module does not mention what it must not know (models: module boundaries)."""
    for path, pattern in MUST_NOT_MENTION.items():
        for number, line in enumerate(strip_comments(read(path)).splitlines(), 1):
            if re.search(pattern, line):
                yield f"{path}:{number}: mentions what its layer must not know"


def rule_cmocka():
    """Unit tests use only what cmocka 1 and 2 both have: assert_between of ours, and no function called stop."""
    for path in tracked("test/unit/*.[ch]"):
        for number, line in enumerate(strip_comments(read(path)).splitlines(), 1):
            if re.search(r"\bassert_(?:not_)?in_range\s*\(|(?<![\w.>])stop\s*\(", line):
                yield f"{path}:{number}: not in every cmocka"


def rule_essay():
    """Every source file begins with a comment that says what it is for."""
    for path in c_files():
        if not read(path).lstrip().startswith("/*"):
            yield f"{path}: no opening comment"


def rule_size():
    """No file above 1,000 lines."""
    for path in tracked("*.c", "*.h", "*.py"):
        lines = read(path).count("\n")
        if lines > 1000:
            yield f"{path}: {lines} lines"


def rule_open_ends():
    """Nothing is left open in the code, and no path of a machine is in the tree."""
    machine = re.compile(r"/(?:root|work)/|/home/[a-z]+/|/tmp/[a-z]+-[0-9]{3,}")
    for path in tracked():
        if path == "test/lint/lint.py" or path.startswith("issues"):
            continue
        try:
            text = read(path)
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if path.endswith((".c", ".h", ".sql", ".py")) and re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"{path}:{number}: left open"
            if machine.search(line):
                yield f"{path}:{number}: a path of a machine"


def rule_version():
    """One version in Makefile, clo.h, META.json, the control file and the change log."""
    version = re.search(r"^VERSION = (\S+)", read("Makefile"), re.M).group(1)
    short = ".".join(version.split(".")[:2])
    found = {
        "src/clo.h": re.search(r'CLO_VERSION "([^"]+)"', read("src/clo.h")).group(1),
        "META.json": re.search(r'"version": "([^"]+)"', read("META.json")).group(1),
        "CHANGELOG.md": re.search(r"^## (\S+)", read("CHANGELOG.md"), re.M).group(1),
    }
    for path, value in found.items():
        if value != version:
            yield f"{path}: version {value}, Makefile has {version}"
    control = os.path.join(ROOT, "pg_ext/close.control")
    if os.path.exists(control):
        value = re.search(r"default_version = '([^']+)'", read("pg_ext/close.control")).group(1)
        if value not in (version, short):
            yield f"pg_ext/close.control: version {value}, Makefile has {version}"


def nm(path, *flags):
    out = subprocess.run(["nm", *flags, path], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True).stdout
    return [line.split() for line in out.splitlines() if line.strip()]


def rule_purity(build):
    """The core archive asks for nothing of a host, prints nothing and never ends the process."""
    bad = re.compile(r"^(sqlite3_|palloc|pfree|errstart|errfinish|stdout|stderr|printf|puts|exit|abort|__printf_chk)")
    for words in nm(os.path.join(build, "libclo_core.a"), "-u"):
        if bad.match(words[-1]):
            yield f"libclo_core.a refers to {words[-1]}"


def rule_symbols(build):
    """The modules export what their hosts look up, and nothing else."""
    expected = {
        "sqlite/close.so": re.compile(r"^sqlite3_(close|closereadonly)_init$"),
        "pg/close.so": re.compile(r"^(Pg_magic_func|_PG_init|pg_finfo_clo_pg_\w+|clo_pg_\w+)$"),
    }
    for name, pattern in expected.items():
        path = os.path.join(build, name)
        if not os.path.exists(path):
            if name.startswith("sqlite"):
                yield f"{name} is not built"
            continue
        for words in nm(path, "-D", "--undefined-only"):
            if words[-1].startswith("clo_"):
                yield f"{name} lacks {words[-1]}"
        for words in nm(path, "-D", "--defined-only"):
            if not pattern.match(words[-1]):
                yield f"{name} exports {words[-1]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    args = parser.parse_args()
    rules = [rule_format, rule_banned, rule_includes, rule_layers, rule_cmocka, rule_essay, rule_size, rule_open_ends,
             rule_version, rule_purity, rule_symbols]
    failed = 0
    for rule in rules:
        found = list(rule(args.build) if rule.__code__.co_argcount else rule())
        for line in found[:40]:
            print(f"lint: {line}")
        if found:
            failed += 1
            print(f"lint: {rule.__name__[5:]}: {len(found)} findings ({rule.__doc__.splitlines()[0]})")
    print(f"{len(rules) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
