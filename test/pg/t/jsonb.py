"""Answers become the jsonb that the server itself would make of their text, with escapes and without."""
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
    texts = TEXTS + [json.dumps({"a": any_value(chance, 4)}, ensure_ascii=chance.random() < .5) for _ in range(150)]
    with env.session() as s:
        for text in texts:
            env.server.fault({"path": "/proxy/api/v1/probe/", "kind": "canned", "body": text})
            got = s.value(f"SELECT md5(x::text) || (x = $t${text}$t$::jsonb) FROM close_request('GET', '/api/v1/probe/') AS x")
            wanted = s.value(f"SELECT md5($t${text}$t$::jsonb::text) || true")
            assert got == wanted, (text[:200], got, wanted)
        env.server.fault({"path": "/proxy/api/v1/probe/", "kind": "canned", "body": r'["\u0000"]'})
        s.fails("SELECT close_request('GET', '/api/v1/probe/')", "22P05")
