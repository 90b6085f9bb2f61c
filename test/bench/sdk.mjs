// What a JavaScript user of the same services runs: the official SDK's actions.request in a loop.
//
// Reads one job from standard input as JSON, prints one line of JSON: {"ms", "cpu_ms", "rows",
// "peak_kb"}. The rows end as objects in memory; writing them anywhere is not charged to the SDK, and
// neither are starting node, loading the package, the token, and the first connection (one call of
// /me/ opens it).
//
//   {"kind": "scan",  "path", "page", "atOnce", "params"}   a whole list
//   {"kind": "count", "path", "params"}                     total_results of one page of one row
//   {"kind": "first", "path", "page", "params"}             the first page
//   {"kind": "gets",  "path", "ids", "atOnce"}              one object per id
//   {"kind": "posts", "path", "bodies", "atOnce"}           one create per body
//   {"kind": "join",  "scans": [{...}, {...}], "key"}       two lists, joined by a Map
//
// The SDK's request() never fetches a token by itself and fails with 401 as the first call of a
// client, so the client is authenticated first by the method that its other calls use.
import { performance } from "node:perf_hooks";
import { readFileSync } from "node:fs";
import sdk from "@scalekit-sdk/node";

const Client = sdk.ScalekitClient ?? sdk.Scalekit;
const settings = JSON.parse(process.env.BENCH_SETTINGS);
const client = new Client(settings.url, settings.clientId, settings.clientSecret);
const account = { connectionName: settings.connection, identifier: settings.identifier };

async function request(path, queryParams, method = "GET", body = undefined) {
  const answer = await client.actions.request({ ...account, path, method, queryParams, body });
  return answer.data;
}

// Calls work(i) for 0..n-1, at most `atOnce` of them at a time, results in order.
async function each(n, atOnce, work) {
  const results = new Array(n);
  let next = 0;
  async function worker() {
    while (next < n) {
      const i = next++;
      results[i] = await work(i);
    }
  }
  await Promise.all(Array.from({ length: Math.min(n, atOnce) }, worker));
  return results;
}

async function scan({ path, page, atOnce, params }) {
  const rows = [];
  const fetchPage = (skip) => request(path, { ...params, _limit: page, _skip: skip });
  let answer = await fetchPage(0);
  rows.push(...answer.data);
  if (atOnce === 1) {
    while (answer.has_more) {
      answer = await fetchPage(rows.length);
      rows.push(...answer.data);
    }
    return rows;
  }
  const rest = Math.ceil(answer.total_results / page) - 1;
  for (const more of await each(rest, atOnce, (i) => fetchPage((i + 1) * page))) {
    rows.push(...more.data);
  }
  return rows;
}

async function join({ scans, key }) {
  const [outer, inner] = [await scan(scans[0]), await scan(scans[1])];
  const byId = new Map(inner.map((row) => [row.id, row]));
  return outer.filter((row) => byId.has(row[key]));
}

const kinds = {
  scan: async (job) => (await scan(job)).length,
  count: async (job) =>
    (await request(job.path, { ...job.params, _limit: 1, _fields: "id" })).total_results,
  first: async (job) => (await request(job.path, { ...job.params, _limit: job.page })).data.length,
  gets: async (job) =>
    (await each(job.ids.length, job.atOnce, (i) => request(`${job.path}${job.ids[i]}/`))).length,
  posts: async (job) =>
    (await each(job.bodies.length, job.atOnce, (i) => request(job.path, undefined, "POST", job.bodies[i])))
      .length,
  join: async (job) => (await join(job)).length,
};

const job = JSON.parse(readFileSync(0, "utf8"));
await client.coreClient.authenticateClient();
await request("/api/v1/me/");
const cpu = process.cpuUsage();
const start = performance.now();
const rows = await kinds[job.kind](job);
const ms = performance.now() - start;
const used = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    ms,
    cpu_ms: (used.user + used.system) / 1000,
    rows,
    peak_kb: process.resourceUsage().maxRSS,
  }),
);
