#!/usr/bin/env python3
"""The stand-in's control interface for psql scripts: `\\set n `$CTL calls``.

    reset               data, faults, settings and log as at the start
    clear               empties the log
    calls [TOOL]        number of tool calls since then (of one tool)
    log                 one line per tool call: tool and parameters as canonical JSON
    fault JSON | config JSON | mutate JSON
    count TABLE [KEY VALUE]   objects of a resource, with a certain value
    value TABLE ID KEY        one value of one object, as text
    ids TABLE N               the first N ids, comma-separated

The address comes from STANDIN_URL.
"""
import json
import os
import sys
import urllib.request


def control(method, path, body=None):
    data = None if body is None else body.encode()
    request = urllib.request.Request(os.environ["STANDIN_URL"] + "/_standin/" + path, data,
                                     {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        text = response.read()
    return json.loads(text) if text else None


def tool_calls():
    return [entry for entry in control("GET", "log?since=0") if entry.get("tool")]


def objects(table):
    answer = control("GET", "objects?table=" + table)
    return answer["data"] if isinstance(answer, dict) else answer


def main(words):
    verb, rest = words[0], words[1:]
    if verb == "reset":
        control("POST", "reset", "{}")
    elif verb == "clear":
        control("DELETE", "log")
    elif verb == "calls":
        print(sum(1 for entry in tool_calls() if not rest or entry["tool"] == rest[0]))
    elif verb == "log":
        for entry in tool_calls():
            print(entry["tool"], json.dumps(entry.get("params") or {}, sort_keys=True))
    elif verb == "fault":
        control("POST", "faults", rest[0])
    elif verb in ("config", "mutate"):
        control("POST", verb, rest[0])
    elif verb == "count":
        found = objects(rest[0])
        print(sum(1 for o in found if len(rest) < 3 or str(o.get(rest[1])) == rest[2]))
    elif verb == "value":
        print(next(str(o.get(rest[2])) for o in objects(rest[0]) if o["id"] == rest[1]))
    elif verb == "ids":
        print(",".join(o["id"] for o in objects(rest[0])[:int(rest[1])]))
    else:
        sys.exit(f"unknown word {verb!r}\n{__doc__}")


if __name__ == "__main__":
    main(sys.argv[1:])
