"""What is measured: the same question to everyone, in each contender's own words.

A workload names one question. SQL hosts get its statements (`setup` is not timed); the SDK gets a job of
sdk.mjs, the shell pipeline its arguments, the C floor its arguments. A contender that has no natural
way of answering is left out. `fewest` is the smallest number of calls that can answer the question
with the service's own page sizes and without knowing the answer beforehand.

Every contender must bring the same number of rows; a different number ends the benchmark, because the
time of a wrong answer means nothing.
"""

import json
import math

LEAD_PAGE = 200  # the largest pages that the service accepts
OPPORTUNITY_PAGE = 250
SDK_PAGE = 100  # the service's default, and what the SDK's samples ask for
AT_ONCE = 8  # also our default window
CALLS = 300  # of a function in a row
FIVE = ("id", "name", "status_id", "date_created", "url")
FILTER = "status:Potential"
CUSTOM = "custom"  # the column that gathers what is called custom.…

LEADS = "/api/v1/lead/"
OPPORTUNITIES = "/api/v1/opportunity/"


class Facts:
    """What the workloads need to know about the data of one stand-in."""

    def __init__(self, leads, opportunities, matching, keys, columns):
        """`columns` are the members of a lead that are columns of their own."""
        self.leads = leads
        self.opportunities = opportunities
        self.matching = matching
        self.keys = keys
        self.columns = columns
        self.visible = [*columns, CUSTOM]  # of close_leads
        self.held = None  # {visible column: leads that have a value}, once somebody needs it

    def pages(self, rows, size=LEAD_PAGE):
        return max(1, math.ceil(rows / size))


class Workload:
    """One question. The methods answer None where a contender does not take part."""

    key = title = ""
    most_latency = None  # milliseconds: with more there is nothing more to learn
    writes = False
    same_job = None  # key of an earlier question that is the same job for the SDK and the floor, not done twice
    vetted = False  # the hosts' plans are looked at, and the values counted: needs facts.held

    def setup(self, _host, _facts):
        return ""

    def timed(self, host, facts):
        raise NotImplementedError

    def check(self, _host):
        """A query whose value is the number of rows; None: the timed statement gave it."""
        return None

    def plan(self, _host, _facts):
        """A statement that shows the plan, when a clever one could answer by less work than is to be
        measured."""
        raise NotImplementedError

    def plan_complaint(self, _host, _rows, _facts):
        """What is wrong with the plan that the statement showed, None: nothing."""
        raise NotImplementedError

    def complaint(self, _rows, _facts):
        """What is wrong with a host's rows beside their number, None: nothing."""
        return None

    def sdk(self, _variant, _facts):
        return None

    def pipeline(self, _facts):
        return None

    def floor(self, _window, _facts):
        return None

    def floor_keys(self, _facts):
        """The keys that the floor gets on its standard input."""
        return []

    def walked(self, _facts):
        """How many leads a loop must page through; the service refuses to skip too many."""
        return 0

    def fewest(self, facts):
        raise NotImplementedError

    def expected(self, facts):
        raise NotImplementedError


def _scan_job(variant, path, largest, params):
    page, at_once = {"sdk": (SDK_PAGE, 1), "sdk-max": (largest, 1), "sdk-x8": (largest, AT_ONCE)}[variant]
    return {"kind": "scan", "path": path, "page": page, "atOnce": at_once, "params": params}


def _all_pages(window, facts):
    """The floor's arguments for the leads as they are."""
    return ["pages", "close_leads_list", str(facts.pages(facts.leads)), str(LEAD_PAGE), str(window)]


class Read(Workload):
    """Every value of every lead becomes a value of SQL, and nothing is kept: what the SDK's loop does, whose
    rows are objects in memory in the end. So its and the floor's job is that of `scan`.

    A count must not be had for less. The plans are looked at before anything is measured: PostgreSQL must
    count above a foreign scan that puts out all columns, SQLite must call xColumn for every column of
    every row; neither of the two has values that are made later. And the sums must be what the service
    holds by column: no value is skipped."""

    key, title = "read", "all columns of all leads, read and counted by column"
    vetted = True

    def timed(self, _host, facts):
        counts = ", ".join(f'count("{column}")' for column in facts.visible)
        return f"SELECT {counts} FROM close_leads;"

    def plan(self, host, facts):
        if host == "pg":
            return f"EXPLAIN (VERBOSE, FORMAT JSON) {self.timed(host, facts)}"
        return f".explain off\nEXPLAIN {self.timed(host, facts)}"

    def plan_complaint(self, host, rows, facts):
        if host == "pg":
            return _pg_plan_complaint(json.loads(rows[0][0])[0]["Plan"], facts)
        read = [p2 for _, opcode, _, p2, *_ in rows if opcode == "VColumn"]
        if sorted(read) != list(range(len(facts.visible))):
            return f"xColumn is called for the columns number {read}"
        return None

    def complaint(self, rows, facts):
        for (column, held), counted in zip(facts.held.items(), rows[0], strict=True):
            if int(counted) != held:
                return f"{counted} values in {column}, the service has {held}"
        return None

    def sdk(self, variant, _facts):
        return _scan_job(variant, LEADS, LEAD_PAGE, {})

    def floor(self, window, facts):
        return _all_pages(window, facts)

    def walked(self, facts):
        return facts.leads

    def fewest(self, facts):
        return facts.pages(facts.leads)

    def expected(self, facts):
        return facts.leads


def _pg_plan_complaint(plan, facts):
    """An aggregate over everything that a foreign scan puts out, in one process."""
    counts = [f"count({column})" for column in facts.visible]
    if [_unquoted(word) for word in plan["Output"]] != counts:
        return f"the plan's output is {plan['Output']}"
    scan = plan.get("Plans", [{}])[0]
    if plan["Node Type"] != "Aggregate" or scan.get("Node Type") != "Foreign Scan":
        return f"the plan is {plan['Node Type']} over {scan.get('Node Type')}"
    missing = set(facts.visible) - {_unquoted(word) for word in scan["Output"]}
    return f"the scan does not put out {sorted(missing)}" if missing else None


def _unquoted(word):
    """Names that are words of SQL come quoted."""
    return word.replace('"', "")


class _Copy(Workload):
    """Reads leads into a local table."""

    columns = "*"
    where = ""
    params = {}

    def timed(self, host, _facts):
        temp = "TEMP " if host == "pg" else ""
        return f"CREATE {temp}TABLE local_copy AS SELECT {self.columns} FROM close_leads{self.where};"

    def check(self, _host):
        return "SELECT count(*) FROM local_copy;"

    def sdk(self, variant, _facts):
        return _scan_job(variant, LEADS, LEAD_PAGE, self.params)

    def pipeline(self, facts):
        names = facts.columns if self.columns == "*" else FIVE
        return [LEADS, str(LEAD_PAGE), ",".join(names),
                *(f"{name}={value}" for name, value in self.params.items())]

    def walked(self, facts):
        return self.expected(facts)

    def fewest(self, facts):
        return facts.pages(self.expected(facts))

    def expected(self, facts):
        return facts.leads


class Scan(_Copy):
    key, title = "scan", "all columns of all leads into a local table"
    same_job = "read"

    def floor(self, window, facts):
        return _all_pages(window, facts)


class Fields(_Copy):
    key, title = "fields", "five columns of all leads into a local table"
    columns = ", ".join(FIVE)
    params = {"_fields": ",".join(FIVE)}

    def floor(self, window, facts):
        return [*_all_pages(window, facts), ",".join(FIVE)]


class Filtered(_Copy):
    key, title = "filter", "five columns of the leads that a search finds"
    columns = ", ".join(FIVE)
    where = f" WHERE query = '{FILTER}'"
    params = {"_fields": ",".join(FIVE), "query": FILTER}

    def expected(self, facts):
        return facts.matching


class Limit(Workload):
    key, title = "limit", "LIMIT 5"

    def timed(self, host, _facts):
        temp = "TEMP " if host == "pg" else ""
        return f"CREATE {temp}TABLE local_copy AS SELECT id, name FROM close_leads LIMIT 5;"

    def check(self, _host):
        return "SELECT count(*) FROM local_copy;"

    def sdk(self, variant, _facts):
        if variant == "sdk":
            return {"kind": "first", "path": LEADS, "page": 5, "params": {"_fields": "id,name"}}
        return None

    def fewest(self, _facts):
        return 1

    def expected(self, _facts):
        return 5


class Count(Workload):
    key, title = "count", "count(*) of all leads"

    def timed(self, _host, _facts):
        return "SELECT count(*) FROM close_leads;"

    def sdk(self, variant, _facts):
        return {"kind": "count", "path": LEADS, "params": {}} if variant == "sdk" else None

    def fewest(self, _facts):
        return 1

    def expected(self, facts):
        return facts.leads


class FirstRow(Workload):
    """The condition is one that the service cannot be asked, so that LIMIT stays with the host and
    the statement ends when the first row of an ordinary scan has come."""

    key, title = "first", "first row of a scan"

    def timed(self, _host, _facts):
        return ("SELECT count(*) FROM (SELECT name FROM close_leads WHERE coalesce(length(name), 0) >= 0 "
                "LIMIT 1) AS one;")

    def sdk(self, variant, _facts):
        if variant == "sdk-max":
            return {"kind": "first", "path": LEADS, "page": LEAD_PAGE, "params": {"_fields": "id,name"}}
        return None

    def fewest(self, _facts):
        return 1

    def expected(self, _facts):
        return None  # a row, or a page of them


def _keys_table(host, keys):
    values = ",".join(f"('{key}')" for key in keys)
    temp, analyze = ("TEMP ", "ANALYZE keys;") if host == "pg" else ("", "")
    return f"CREATE {temp}TABLE keys(id text PRIMARY KEY);\nINSERT INTO keys VALUES {values};\n{analyze}"


class JoinKeys(Workload):
    """Either a call for each key or a walk over the table, whichever is less."""

    key, title = "join-keys", "join of {keys:,} local keys with the leads"

    def setup(self, host, facts):
        return _keys_table(host, facts.keys)

    def timed(self, _host, _facts):
        return "SELECT count(l.name IS NOT NULL) FROM keys k JOIN close_leads l ON l.id = k.id;"

    def sdk(self, variant, facts):
        at_once = {"sdk": 1, "sdk-x8": AT_ONCE}.get(variant)
        return at_once and {"kind": "gets", "path": LEADS, "ids": facts.keys, "atOnce": at_once}

    def fewest(self, facts):
        return min(len(facts.keys), facts.pages(facts.leads))

    def expected(self, facts):
        return len(facts.keys)


class JoinTables(Workload):
    key, title = "join-tables", "join of all opportunities with the leads"

    def timed(self, _host, _facts):
        return ("SELECT count(o.value + length(l.name) IS NOT NULL) FROM close_opportunities o "
                "JOIN close_leads l ON l.id = o.lead_id;")

    def sdk(self, variant, _facts):
        return {"kind": "join", "key": "lead_id", "scans": [
            _scan_job(variant, OPPORTUNITIES, OPPORTUNITY_PAGE, {"_fields": "id,lead_id,value"}),
            _scan_job(variant, LEADS, LEAD_PAGE, {"_fields": "id,name"})]}

    def walked(self, facts):
        return facts.leads

    def fewest(self, facts):
        return facts.pages(facts.opportunities, OPPORTUNITY_PAGE) + facts.pages(facts.leads)

    def expected(self, facts):
        return facts.opportunities


class Inserts(Workload):
    """The rows are what the service says it created: no host tells in a way that all share."""

    key, title = "inserts", "{keys:,} inserted leads"
    writes = True

    def setup(self, host, facts):
        return _keys_table(host, facts.keys)

    def timed(self, _host, _facts):
        return "INSERT INTO close_leads(name) SELECT 'Bench ' || id FROM keys;"

    def sdk(self, variant, facts):
        at_once = {"sdk": 1, "sdk-x8": AT_ONCE}.get(variant)
        return at_once and {"kind": "posts", "path": LEADS, "atOnce": at_once,
                            "bodies": [{"name": "Bench " + key} for key in facts.keys]}

    def fewest(self, facts):
        return len(facts.keys)

    def expected(self, facts):
        return len(facts.keys)


class Calls(Workload):
    """Function calls in a row, against bare libcurl calls in a row: the overhead of one call."""

    key, title = "calls", "{calls:,} calls of close_lead_get in a row"
    most_latency = 20

    def setup(self, host, facts):
        return _keys_table(host, facts.keys[:CALLS])

    def timed(self, _host, _facts):
        return "SELECT count(close_lead_get(id)) FROM keys;"

    def sdk(self, variant, facts):
        if variant == "sdk":
            return {"kind": "gets", "path": LEADS, "ids": facts.keys[:CALLS], "atOnce": 1}
        return None

    def floor(self, window, _facts):
        return ["gets", "close_lead_get", "lead_id"] if window == 1 else None

    def floor_keys(self, facts):
        return facts.keys[:CALLS]

    def fewest(self, facts):
        return len(facts.keys[:CALLS])

    def expected(self, facts):
        return len(facts.keys[:CALLS])


ALL = (Read(), Scan(), Fields(), Filtered(), Limit(), Count(), FirstRow(), JoinKeys(), JoinTables(),
       Inserts(), Calls())
BY_KEY = {workload.key: workload for workload in ALL}


def title(workload, keys):
    """The question in words, with the number of keys that this run took."""
    return workload.title.format(keys=keys, calls=min(keys, CALLS))
