"""The oom engine: every case with the n-th allocation failing, for growing n.

A library built with DEBUG=1 fails one allocation of the core when CLO_TEST_OOM=n is in its
environment. A case is run again and again with larger n until an allocation of that number no longer
happens. What must hold each time: the shell neither crashes nor hangs, what fails says that memory
ran out (a write that had left may say that its fate is unknown), and what does not fail gives exactly
the rows that it should. Calls are not compared: a run that ends early has sent less.
"""

import conformance
import shells

GROWTH = 1.5
MOST = 200000
WORDS = ("NOMEM", "out of memory", "UNCERTAIN")


class EndedEarly(Exception):
    """Memory ran out, as arranged, and the error said so."""


class OomRunner(conformance.Runner):
    """A case with one failing allocation."""

    def __init__(self, case, host, worker, serial, number):
        super().__init__(case, host, worker, serial)
        self.extra_env = {"CLO_TEST_OOM": str(number)}

    def _open(self):
        try:
            return super()._open()
        except shells.ShellDied as problem:
            if any(word in str(problem) for word in WORDS):
                raise EndedEarly from problem
            raise

    def _check_outcome(self, step, outcome):
        expected = any(item[0] == "error" for item in step.outcomes(self.host.name))
        for _, message in outcome.errors:
            if any(word in message for word in WORDS) and not (expected and "UNCERTAIN" in message):
                raise EndedEarly
        super()._check_outcome(step, outcome)

    def _check(self, directive, word, text, outcome, entries):
        if directive not in ("calls", "tokens", "after"):
            super()._check(directive, word, text, outcome, entries)

    def _check_faults(self, entries):
        """A fault may be out of reach."""


def run_case(case, host, worker, serial):
    """Raises Failure for the first n that goes wrong."""
    number = 1
    while number < MOST:
        try:
            OomRunner(case, host, worker, f"{serial}-{number}", number).run()
            if number == 1:
                raise conformance.Failure("no allocation failed: build the library with DEBUG=1")
            return
        except EndedEarly:
            number = max(number + 1, int(number * GROWTH))
        except conformance.Failure as problem:
            raise conformance.Failure(f"allocation {number} fails: {problem}") from problem
    raise conformance.Failure(f"still short of memory at allocation {number}")
