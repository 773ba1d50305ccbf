/**
 * The planner: `npm run bench -- plan [--json] [--endpoints 1000000]`. First the pure function, for an
 * endpoint with 50 wishes in a catalog of 500 packages. Then a fleet in LevelDB, where the one group of
 * all endpoints gets a new package: the change itself, and what the next check-ins pay for it, from the
 * look-up of the wishes to the signed directive.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { planEndpoint } from "../../coordinator/core/plan/plan.ts";
import { directiveFinder } from "../../coordinator/routes/directives.ts";
import { planFor, type PlanningParts } from "../../coordinator/routes/planning.ts";
import { openIntentBook } from "../../coordinator/store/intent-book.ts";
import type { PackageGroupRecord } from "../../coordinator/store/intent-records.ts";
import { openLevelStore } from "../../coordinator/store/level-store.ts";
import { openPlanBook } from "../../coordinator/store/plan-book.ts";
import { openPresenceBook } from "../../coordinator/store/presence-book.ts";
import { openStandingBook } from "../../coordinator/store/standing-book.ts";
import { openRecords, setRecord, type RecordChange } from "../../coordinator/store/records.ts";
import type { Store } from "../../coordinator/store/store.ts";
import { TABLES, type EndpointRecord, type PackageRecord } from "../../coordinator/store/tables.ts";
import { makeFleetKeys } from "../../coordinator/trust/fleet-keys.ts";
import {
  endpointIdOf,
  packageRefText,
  parseDigest,
  parseEndpointName,
  parsePackageRef,
  parseSiteName,
  type PackageRef,
} from "../../protocol/ids.ts";
import { known, needs, ruled, wish, world, MONDAY_MS } from "../../test/support/plan-world.ts";
import type { BenchOptions } from "../bench-options.ts";

const PACKAGE_COUNT = 500;
const WISH_COUNT = 50;
const PLAN_COUNT = 3000;
const ENDPOINT_COUNT = 1_000_000;
/** Endpoints that check in after the change. */
const SENDER_COUNT = 5000;
const BATCH_COUNT = 20_000;
const GROUP = "everyone";

interface PureResult {
  readonly plansPerSec: number;
  readonly cpuMicrosEach: number;
  readonly instructionCount: number;
}

interface FleetResult {
  readonly endpointCount: number;
  readonly loadSec: number;
  readonly changeMs: number;
  readonly checkIn: {
    readonly cpuMicrosMean: number;
    readonly medianMs: number;
    readonly p99Ms: number;
  };
  readonly unchangedCheckInMicros: number;
  readonly residentMb: number;
}

export async function run(options: BenchOptions): Promise<void> {
  const at = options.args.indexOf("--endpoints");
  const endpointCount = at < 0 ? ENDPOINT_COUNT : Number(options.args[at + 1]);
  if (!Number.isSafeInteger(endpointCount) || endpointCount < 1) {
    throw new TypeError("--endpoints needs a number");
  }
  const pure = measurePure();
  const fleet = await measureFleet(endpointCount);
  if (options.isJson) console.log(JSON.stringify({ plan: { pure, fleet } }));
  else print(pure, fleet);
}

/** Every tenth package is wished; every fifth needs two others; a third of the wishes has time frames. */
function measurePure(): PureResult {
  const packages = Array.from({ length: PACKAGE_COUNT }, (_none, at) => {
    const name = `bench/p${at}@1`;
    const isPrimary = at % 5 === 0 && at > 10;
    return isPrimary ? ruled(name, needs(`bench/p${at - 1}`, `bench/p${at - 2}`)) : known(name);
  });
  const intents = Array.from({ length: WISH_COUNT }, (_none, at) => {
    const frames = { timeFrames: "6:00-7:00,FRI 18:00-23:00", zone: "Europe/Berlin" };
    const text = `bench/p${(at * PACKAGE_COUNT) / WISH_COUNT}@1`;
    return wish(text, { name: `w${at}`, schedule: at % 3 === 0 ? frames : {} });
  });
  const input = world(packages, intents);
  for (let warm = 0; warm < 300; warm++) planEndpoint(input, MONDAY_MS);
  const before = process.cpuUsage();
  for (let count = 0; count < PLAN_COUNT; count++) planEndpoint(input, MONDAY_MS + count);
  const cpuMicrosEach = cpuMicros(before) / PLAN_COUNT;
  return {
    plansPerSec: Math.round(1e6 / cpuMicrosEach),
    cpuMicrosEach: Math.round(cpuMicrosEach),
    instructionCount: planEndpoint(input, MONDAY_MS).instructions.length,
  };
}

function now(): number {
  return MONDAY_MS;
}

async function measureFleet(endpointCount: number): Promise<FleetResult> {
  const folder = await mkdtemp(join(tmpdir(), "branchline-bench-plan-"));
  const store = await openLevelStore(join(folder, "store"));
  try {
    const started = performance.now();
    const endpoints = await fill(store, endpointCount);
    const records = await openRecords(store);
    const loadSec = (performance.now() - started) / 1000;
    const presence = openPresenceBook(records, []);
    const parts: PlanningParts = {
      records,
      presence,
      now,
      plans: openPlanBook(),
      intents: openIntentBook(records, presence, { zone: "UTC", now }),
      standing: openStandingBook(records),
    };
    const find = directiveFinder({ ...parts, online: makeFleetKeys().online });
    const senders = endpoints.filter(
      (_one, at) => at % Math.ceil(endpointCount / SENDER_COUNT) === 0,
    );
    for (const sender of senders) await find(sender, now());

    const changed = performance.now();
    const second = groupRecord(["bench/a@1", "bench/b@1"]);
    await records.change(() => ({
      changes: [setRecord(TABLES.packageGroups, second.name, second)],
      result: undefined,
    }));
    const changeMs = performance.now() - changed;

    const times: number[] = [];
    const before = process.cpuUsage();
    for (const sender of senders) {
      const asked = performance.now();
      await find(sender, now());
      times.push(performance.now() - asked);
    }
    const cpuMicrosMean = cpuMicros(before) / senders.length;
    const sorted = times.toSorted((one, other) => one - other);
    return {
      endpointCount,
      loadSec: round(loadSec),
      changeMs: round(changeMs),
      checkIn: {
        cpuMicrosMean: Math.round(cpuMicrosMean),
        medianMs: round(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN),
        p99Ms: round(sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN),
      },
      unchangedCheckInMicros: unchanged(parts, senders),
      residentMb: Math.round(process.memoryUsage().rss / 1e6),
    };
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function unchanged(parts: PlanningParts, senders: readonly EndpointRecord[]): number {
  for (const sender of senders) planFor(parts, sender);
  const before = process.cpuUsage();
  for (const sender of senders) planFor(parts, sender);
  return round(cpuMicros(before) / senders.length);
}

/** Endpoints, all members of one group; a package group with one package is assigned to it. */
async function fill(store: Store, count: number): Promise<readonly EndpointRecord[]> {
  const site = parseSiteName("office");
  const group = { name: GROUP, tenant: "default", order: 0, createdMs: 1 };
  const assignment = { packageGroup: "office", endpointGroup: GROUP, order: 1, createdMs: 1 };
  await commit(store, [
    setRecord(TABLES.sites, site, { name: site, criteria: [], order: 0, epoch: 1 }),
    setRecord(TABLES.endpointGroups, GROUP, group),
    setRecord(TABLES.packageGroups, "office", groupRecord(["bench/a@1"])),
    setRecord(TABLES.assignments, `${GROUP}/office`, assignment),
    ...["bench/a@1", "bench/b@1"].map((text) =>
      setRecord(TABLES.packages, text, packageRecord(parsePackageRef(text))),
    ),
  ]);
  const endpoints: EndpointRecord[] = [];
  for (let from = 0; from < count; from += BATCH_COUNT) {
    const batch = Array.from({ length: Math.min(BATCH_COUNT, count - from) }, (_none, at) => {
      const id = endpointIdOf(randomBytes(32));
      const name = parseEndpointName(`pc-${from + at}`);
      return { id, name, homeSite: site, isDp: false, joinedMs: 1 };
    });
    endpoints.push(...batch);
    await commit(
      store,
      batch.flatMap((one) => [
        setRecord(TABLES.endpoints, one.id, one),
        setRecord(TABLES.members, `${one.id}/${GROUP}`, { group: GROUP, endpoint: one.id }),
      ]),
    );
  }
  return endpoints;
}

async function commit(store: Store, changes: readonly RecordChange[]): Promise<void> {
  await store.commit({ set: changes.map(({ key, value }) => ({ key, value })) });
}

function groupRecord(texts: readonly string[]): PackageGroupRecord {
  const entries = texts.map(parsePackageRef).map(({ name, version }) => ({ name, version }));
  return { name: "office", entries, order: 0, createdMs: 1, additions: {} };
}

function packageRecord(ref: PackageRef): PackageRecord {
  return {
    ...ref,
    manifest: parseDigest(Buffer.from(packageRefText(ref)).toString("hex").padEnd(64, "0")),
    manifestBytes: 500,
    level: 5,
    match: { epoch: 1, kind: "launch" },
    wireBytes: 1000,
    fileBytes: 1000,
    fragmentCount: 1,
    hasContent: true,
    isActive: true,
    createdMs: 1,
  };
}

function cpuMicros(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function round(value: number): number {
  return Number(value.toFixed(2));
}

function print(pure: PureResult, fleet: FleetResult): void {
  const { checkIn } = fleet;
  console.log(
    `one endpoint, ${WISH_COUNT} wishes, ${PACKAGE_COUNT} packages: ${pure.plansPerSec} plans/s (${pure.cpuMicrosEach} us CPU each, ${pure.instructionCount} instructions)`,
  );
  console.log(`${fleet.endpointCount} endpoints in one group, loaded in ${fleet.loadSec} s:`);
  console.log(`  a new package for all of them: ${fleet.changeMs} ms (durable; limit 100)`);
  console.log(
    `  a check-in after it, planned and signed: median ${checkIn.medianMs} ms, p99 ${checkIn.p99Ms} ms, ${checkIn.cpuMicrosMean} us CPU (limit 1000)`,
  );
  console.log(`  a check-in without news: ${fleet.unchangedCheckInMicros} us CPU for its plan`);
  console.log(`  resident memory ${fleet.residentMb} MB`);
}
