#!/usr/bin/env python3
"""Checks the runner itself: a comparison that cannot fail would make every case worthless."""

import sys
import unittest

import casefile
import compare
import conformance
import oracle
import shells

GOOD = """
name: one
hosts: sqlite>=3.38 pg
set: a=1
fault: {"x": 1}
sql:
  SELECT 1;
rows:
  1|x
calls: none
"""


class CaseFiles(unittest.TestCase):
    def refuse(self, text, words):
        with self.assertRaisesRegex(casefile.CaseError, words):
            casefile.parse("f", text)

    def test_good(self):
        case, = casefile.parse("f", GOOD)
        self.assertEqual(case.hosts, {"sqlite": (3, 38), "pg": None})
        self.assertEqual(case.settings, [("a", "1")])
        self.assertEqual(case.steps[0].arrange, [("fault", '{"x": 1}')])
        self.assertTrue(case.runs_on("sqlite", (3, 40, 1)))
        self.assertFalse(case.runs_on("sqlite", (3, 37)))

    def test_what_checks_nothing_is_refused(self):
        self.refuse("name: a\nsql:\n  SELECT 1;\nrows:\n  1\n", "without calls")
        self.refuse("name: a\nsql:\n  SELECT 1;\ncalls: none\n", "expected")
        self.refuse("name: a\n", "no statement")
        self.refuse("name: a\nfault: {}\n", "without a statement")

    def test_mistakes_are_refused(self):
        self.refuse("sql:\n  SELECT 1;\n", "begins with name")
        self.refuse("name: a\nsqll:\n  SELECT 1;\n", "unknown directive")
        self.refuse("name: a\nhosts: mysql\n", "unknown 'mysql'")
        self.refuse(GOOD + "set: b=2\n", "before the first statement")
        self.refuse("name: a\nrows:\n  1\n", "no statement before")
        self.refuse("name: a\nrows sorted:\n  1\n", "does not take the word")


class Rows(unittest.TestCase):
    def test_cells(self):
        self.assertEqual(compare.row([None, True, 1.0, 2.5, "a\nb"], "sqlite"),
                         ("NULL", "1", "1", "2.5", "a\\nb"))
        self.assertEqual(compare.text('{"b": 1.0, "a": [1, 2]}'), '{"a":[1,2],"b":1}')
        self.assertEqual(compare.text("2024-05-02 09:14:07.3+00"), "2024-05-02T09:14:07.300000Z")
        self.assertEqual(compare.expected_row("a\\|b|NULL"), ("a|b", "NULL"))

    def test_differences(self):
        one, two = ("1",), ("2",)
        self.assertIsNone(compare.diff_rows([one, two], [two, one], False))
        self.assertIsNotNone(compare.diff_rows([one, two], [two, one], True))
        self.assertIsNotNone(compare.diff_rows([one, one], [one], False))
        self.assertIsNotNone(compare.diff_rows([one], [one, one], False))
        self.assertIsNotNone(compare.diff_rows([], [one], True))
        self.assertIsNotNone(compare.diff_rows([("NULL",)], [("",)], True))


class Calls(unittest.TestCase):
    def check(self, pattern, params, same):
        call = compare.Call("t", params)
        self.assertEqual(compare.CallPattern("t " + pattern).matches(call), same, pattern)

    def test_params(self):
        self.check('{"a": 1}', {"a": 1}, True)
        self.check('{"a": 1}', {"a": "1"}, False)
        self.check('{"a": true}', {"a": 1}, False)
        self.check('{"a": 1}', {"a": 1, "b": 2}, False)
        self.check('{"a": 1} ...', {"a": 1, "b": 2}, True)
        self.check('{"a": "*"}', {"a": [1]}, True)
        self.check('{"a": "*"}', {}, False)
        self.check('{"_fields": "a,b"}', {"_fields": "b,a"}, True)

    def test_lists(self):
        patterns = [compare.CallPattern("t {} x2"), compare.CallPattern("u {}")]
        calls = [compare.Call("t", {}), compare.Call("t", {}), compare.Call("u", {})]
        self.assertIsNone(compare.diff_calls(patterns, calls, True))
        self.assertIsNotNone(compare.diff_calls(patterns, calls[:2], True))
        self.assertIsNotNone(compare.diff_calls(patterns, calls + calls[:1], False))
        self.assertIsNone(compare.diff_calls(patterns, calls[::-1], False))
        self.assertIsNotNone(compare.diff_calls(patterns, calls[::-1], True))


class Oracle(unittest.TestCase):
    def test_times(self):
        same = "2024-05-02T09:14:07.318000Z"
        for text in ("2024-05-02T09:14:07.318000+00:00", "2024-05-02T09:14:07.318",
                     "2024-05-02T11:14:07.318+02:00"):
            self.assertEqual(oracle.canonical_time(text), same)
        self.assertEqual(oracle.canonical_time("0001-01-01T00:00:00"), "0001-01-01T00:00:00.000000Z")
        with self.assertRaises(ValueError):
            oracle.canonical_time("yesterday")

    def test_misfits(self):
        for value, kind in (("1", "integer"), (1, "text"), (1, "boolean"), (1.5, "integer")):
            with self.assertRaises(ValueError):
                oracle.convert(value, kind)


class Shells(unittest.TestCase):
    def test_statements(self):
        parts = shells.statements("SELECT 1;\nCREATE TRIGGER t AFTER INSERT ON x BEGIN\n"
                                  "  SELECT 1;\n  SELECT 2;\nEND;\n.mode json\nSELECT ';'")
        self.assertEqual(len(parts), 4)

    def test_errors(self):
        text = "Runtime error near line 5: t: ARG: no (19)\nError: in prepare\n"
        self.assertEqual(shells._sqlite_errors(text), [(19, "t: ARG: no"), (1, "in prepare")])
        text = "ERROR:  22023: bad\nDETAIL:  more\nLOCATION:  f, x.c:1\n"
        self.assertEqual(shells._pg_errors(text), [("22023", "bad\nDETAIL:  more")])

    def test_short_faults(self):
        fault = conformance._fault({"tool": "t", "provider": {"error": "no"}})
        self.assertEqual((fault["kind"], fault["status"]), ("canned", 400))
        self.assertIn('\\"error\\": \\"no\\"', fault["body"].replace("\\\\", ""))


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
