"""Answers become the jsonb that the server itself would make of their text, to the byte."""
import json
import random

SEED = 20261123

TEXTS = [
    '{}', '[]', ' [ ] ', '\n{\t"a" : [ 1 , 2 ] ,\r\n "b" : { } }\n', '{"a": 1, "b": 2, "a": 3}', '{"bb": 1, "a": 2, "": 3}',
    '[0, -0, 7, -7, 0.0, -1.50, 1e3, 1E-7, 0.1e+2, 12345678901234567890, 18446744073709551615]',
    '[123456789012345678, -123456789012345678, 999999999999999999, 1000000000000000000, -9223372036854775808]',
    '[3.14159265358979323846264338327950288, 1e300, 100000000000000000000.5]',
    '[true, false, null, {"a": null}, [[[]]], [{}], {"a": {"a": {"a": []}}}]',
    '{"{[,:]}": "]}:,[{", "true": "false"}', '["é", "日本", "𝄞", "a b\u2028c", "\u007f"]',
    r'["a\nb", "\"", "\\", "\/", "\b\f\n\r\t", "\\n\\", "\"}", "end\""]', r'{"a\"": "\",\"b\":", "\\": [1]}',
    r'["a\nb", "\u00e9", "\"", "\\", "\/", "\ud834\udd1e"]', r'{"k\"ey": 1, "k\u0065y": 2}', r'["plain", "not\tplain", "plain"]',
    "[" * 60 + "]" * 60, '{"a":' * 60 + "1" + "}" * 60, '["' + "long " * 30000 + '"]', "[" + "1," * 5000 + "2]",
]


# Objects by number of members and how their names lie: in order or far from it, of one length or of many,
# longer than what is told apart by length alone.
NAMES = [
    lambda n: [f"k{i:05}" for i in range(n)], lambda n: [f"k{i:05}" for i in reversed(range(n))],
    lambda n: ["x" * (i % 90) + chr(97 + i % 7) for i in range(n)], lambda n: ["y" * (n - i) for i in range(n)],
    lambda n: ["z" * 70 + f"{i * 7919 % n:05}" for i in range(n)], lambda n: [str(i * 31 % 10) for i in range(n)],
]


def wide_texts():
    for names in NAMES:
        for n in (2, 3, 31, 32, 33, 128, 129, 1000):
            yield "{" + ",".join(f'"{name}":{[i, repr(str(i)), [i]][i % 3]}' for i, name in enumerate(names(n))).replace("'", '"') + "}"


class Writer:
    """JSON in all its spellings, which a library would not write: spaces, repeated names, escapes without need."""

    def __init__(self, chance):
        self.chance = chance

    def space(self):
        return self.chance.choice(["", "", "", " ", "\n", " \t\r\n"])

    def name(self):
        return self.chance.choice(['"a"', '"b"', '"ab"', '"ba"', r'"a\""', r'"\/"', '"é"', '""', self.text(), self.text()])

    def text(self):
        return '"' + "".join(self.chance.choice(["a", "b", " ", ",", ":", "{", "}", "é", "日", "𝄞", r"\n", r"\"", r"\\", r"\/", r"\t"])
                             for _ in range(self.chance.choice([0, 1, 2, 5, 40]))) + '"'

    def number(self):
        """Whole numbers as long as the core takes them."""
        c = self.chance
        text = c.choice(["", "-"]) + c.choice(["0", str(c.randint(1, 9)), str(c.randint(1, 10 ** c.randint(1, 18)))])
        if c.random() < .3:
            text += "." + str(c.randint(0, 10 ** c.randint(1, 30)))
        if c.random() < .2:
            text += c.choice("eE") + c.choice(["", "+", "-"]) + str(c.randint(0, 30))
        return text

    def value(self, depth):
        kind = self.chance.randrange(12 if depth else 8)
        if kind >= 8:
            many = range(self.chance.choice([0, 1, 2, 3, 40]) if depth == 2 else self.chance.randrange(5))
            each = self.value if kind < 10 else self.member
            return "[{"[kind >= 10] + ",".join(self.space() + each(depth - 1) + self.space() for _ in many) + self.space() + "]}"[kind >= 10]
        return [self.number, self.number, self.text, self.text, self.text, lambda: "null", lambda: "true", lambda: "false"][kind]()

    def member(self, depth):
        return self.name() + self.space() + ":" + self.space() + self.value(depth)

    def document(self):
        while True:
            text = self.value(4)
            if text[0] in "[{":
                return text


def any_value(chance, depth):
    kind = chance.randrange(8 if depth else 6)
    if kind == 6:
        return [any_value(chance, depth - 1) for _ in range(chance.randrange(5))]
    if kind == 7:
        return {any_text(chance): any_value(chance, depth - 1) for _ in range(chance.randrange(5))}
    return [None, chance.random() < .5, chance.randint(-10 ** 9, 10 ** 9), chance.uniform(-10, 10) * 10 ** chance.randint(-9, 9),
            chance.randint(-2 ** 63, 2 ** 63), any_text(chance)][kind]


def any_text(chance):
    return "".join(chance.choice('ab ,:{}[]é日\n"\\') for _ in range(chance.randrange(6)))


def test_answers_are_the_jsonb_of_their_text(env):
    chance = random.Random(SEED)
    texts = [*TEXTS, *wide_texts(), *(Writer(chance).document() for _ in range(200)),
             *(json.dumps({"a": any_value(chance, 4)}, ensure_ascii=chance.random() < .5) for _ in range(150))]
    with env.session() as s:
        for text in texts:
            env.server.fault({"path": "/proxy/api/v1/probe/", "kind": "canned", "body": text})
            got = s.value(f"SELECT md5(x::text) || record_image_eq(ROW(x), ROW($t${text}$t$::jsonb)) "
                          "FROM close_request('GET', '/api/v1/probe/') AS x")
            wanted = s.value(f"SELECT md5($t${text}$t$::jsonb::text) || true")
            assert got == wanted, (text[:200], got, wanted)
        env.server.fault({"path": "/proxy/api/v1/probe/", "kind": "canned", "body": r'["\u0000"]'})
        s.fails("SELECT close_request('GET', '/api/v1/probe/')", "22P05")
