"""Reader of test/conformance/*.case; the format is described in test/conformance/README.md.

A file holds any number of cases. A case is a list of directives in the order in which they happen:
arrangements (`fault:`, `mutate:`, `config:`), then a statement block (`sql:`), then what must be
true of it (`rows:`, `error:`, `calls:` ...), and so on. The reader is strict: an unknown directive,
a statement block without a `calls:` line or without an expected outcome is an error of the file, so
that no case passes because it checks nothing.
"""

import re

ARRANGE = {"fault", "fault?", "mutate", "config", "let"}
OUTCOMES = {"rows", "same-as", "error", "ok"}
CHECKS = {"calls", "after", "tokens", "conn", "output", "not-output"}
HEAD = {"name", "hosts", "server", "env", "set", "entry", "why", "outbox", "engines"}
WORDS = {"rows": {"unordered"}, "same-as": {"ordered"}, "calls": {"unordered"},
         "sql": {"sqlite", "pg"}, "error": {"sqlite", "pg"}}


class CaseError(Exception):
    """A mistake in a case file."""


class Step:
    """One statement block with the arrangements before it and the checks after it."""

    def __init__(self, line):
        self.line = line
        self.arrange = []  # (directive, text)
        self.sql = {}      # host or "both" -> text
        self.checks = []   # (directive, word, text)

    def sql_for(self, host):
        return self.sql.get(host, self.sql.get("both"))

    def outcomes(self, host):
        return [item for item in self.checks
                if item[0] in OUTCOMES and not (item[0] == "error" and item[1] not in ("", host))]


class Case:
    """One case: where it stands, its settings, its steps."""

    def __init__(self, path, line, name):
        self.path = path
        self.line = line
        self.name = name
        self.hosts = {"sqlite": None, "pg": None}
        self.server = ""
        self.env = {}
        self.settings = []
        self.entry = None
        self.outbox = None
        self.engines = None
        self.steps = []

    @property
    def where(self):
        return f"{self.path}:{self.line}"

    def runs_on(self, host, version):
        """Whether the guards of `hosts:` admit this host; `version` is a tuple of integers."""
        if host not in self.hosts:
            return False
        wanted = self.hosts[host]
        return wanted is None or version >= wanted


def parse(path, text, label=None):
    """The cases of one file."""
    return _Parser(label or path, text).cases()


class _Parser:
    _DIRECTIVE = re.compile(r"([a-z][a-z-]*\??)((?: [a-z]+)?):(?:\s(.*)|$)")

    def __init__(self, path, text):
        self.path = path
        self.lines = text.split("\n")

    def fail(self, line, message):
        raise CaseError(f"{self.path}:{line}: {message}")

    def cases(self):
        result = []
        case = step = None
        for line, name, word, body in self._directives():
            if name == "name":
                if case:
                    self._finish(case, step)
                case, step = Case(self.path, line, body.strip()), None
                result.append(case)
            elif case is None:
                self.fail(line, "a case begins with name:")
            elif name in HEAD:
                self._head(case, line, name, body)
            else:
                step = self._body(case, step, line, name, word, body)
        if case:
            self._finish(case, step)
        return result

    def _directives(self):
        """(line number, directive, word, text); continuation lines are indented by two blanks."""
        current = None
        for number, raw in enumerate(self.lines, 1):
            if raw.startswith("#"):
                continue
            if raw.startswith("  ") or (current and not raw.strip()):
                if current is None:
                    self.fail(number, "indented line without a directive")
                current[3].append(raw[2:])
                continue
            if not raw.strip():
                continue
            match = self._DIRECTIVE.match(raw)
            if not match:
                self.fail(number, f"not a directive: {raw!r}")
            if current:
                yield self._complete(current)
            name, word, rest = match[1], match[2].strip(), match[3]
            if word and word not in WORDS.get(name, ()):
                self.fail(number, f"{name}: does not take the word {word!r}")
            current = (number, name, word, [rest] if rest else [])
        if current:
            yield self._complete(current)

    @staticmethod
    def _complete(current):
        number, name, word, lines = current
        while lines and not lines[-1].strip():
            lines.pop()
        return number, name, word, "\n".join(lines)

    def _head(self, case, line, name, body):
        if any(step.sql for step in case.steps):
            self.fail(line, f"{name}: belongs before the first statement")
        if name == "hosts":
            case.hosts = {}
            for item in body.split():
                match = re.match(r"(sqlite|pg)(?:>=([\d.]+))?$", item)
                if not match:
                    self.fail(line, f"hosts: unknown {item!r}")
                version = tuple(int(part) for part in match[2].split(".")) if match[2] else None
                case.hosts[match[1]] = version
        elif name == "server":
            case.server = body
        elif name in ("env", "set"):
            for item in body.split("\n"):
                key, equals, value = item.partition("=")
                if not equals:
                    self.fail(line, f"{name}: expected name=value, got {item!r}")
                if name == "env":
                    case.env[key.strip()] = value
                else:
                    case.settings.append((key.strip(), value))
        elif name == "entry":
            case.entry = body.strip()
        elif name == "outbox":
            case.outbox = int(body)
        elif name == "engines":
            case.engines = body.split()

    def _body(self, case, step, line, name, word, body):
        if name in ARRANGE or name == "sql":
            if step is None or (step.checks and name in ARRANGE) or (name == "sql" and step.checks):
                if step is not None:
                    self._check_step(case, step)
                step = Step(line)
                case.steps.append(step)
            if name == "sql":
                key = word or "both"
                if key in step.sql:
                    self.fail(line, "two statement blocks without anything expected of the first")
                step.sql[key] = body
            else:
                for item in body.split("\n") if name not in ("let",) else [body]:
                    if item.strip():
                        step.arrange.append((name, item))
            return step
        if name in OUTCOMES or name in CHECKS:
            if step is None or not step.sql:
                self.fail(line, f"{name}: has no statement before it")
            step.checks.append((name, word, body))
            return step
        return self.fail(line, f"unknown directive {name}:")

    def _check_step(self, case, step):
        names = [item[0] for item in step.checks]
        if not step.sql:
            self.fail(step.line, f"{case.name}: arrangements without a statement")
        if not set(names) & OUTCOMES:
            self.fail(step.line, f"{case.name}: neither rows:, same-as:, ok: nor error: expected")
        if "calls" not in names:
            self.fail(step.line, f"{case.name}: a statement without calls:")

    def _finish(self, case, step):
        if step is None:
            self.fail(case.line, f"{case.name}: no statement")
        self._check_step(case, step)
