/** Who plays which part at one site: roles, ranks, starts and faults, drawn from the seed. */
import { endpointIdOf, type EndpointId } from "../../protocol/ids.ts";
import type { PackageShape } from "./package-shape.ts";
import { Random } from "./random.ts";
import type { Faults, Scenario, SiteClass } from "./scenario.ts";
import type { Casting } from "./simulated-node.ts";
import type { Incident, SiteCourse } from "./site-course.ts";

/** Nobody else is asked for what is late, and the slow are asked like all. */
const PATIENT = { sourcesMaxCount: 1, answerMinMs: Infinity, isSlowSpared: false };
const BITS_PER_BYTE = 8;
/** 1 Mbit/s in bytes per millisecond. */
const MBIT = 1e6 / BITS_PER_BYTE / 1000;
/** A site that is this much slower than its line is stuck. */
const LIMIT_FACTOR = 20;
const LIMIT_EXTRA_MS = 900_000;

export interface SiteDraw {
  readonly shape: PackageShape;
  /** What the site gets of its line and of the origin, payload only. */
  readonly wanBytesPerMs: number;
  readonly seed: number;
}

export function payloadBytesPerMs(mbitPerSec: number, goodput: number): number {
  return mbitPerSec * MBIT * goodput;
}

/** The endpoints of one site and what happens to them. The DP, if any, comes first. */
export function castSite(scenario: Scenario, site: SiteClass, draw: SiteDraw): SiteCourse {
  const random = new Random(draw.seed);
  const { faults = {}, hasDp, endpoints } = site;
  const ids = endpointIds(endpoints);
  const dp = hasDp ? ids[0] : undefined;
  const agents = random.shuffled(ids.filter((id) => id !== dp));
  const parts = drawParts(random, agents, faults);
  const lan = payloadBytesPerMs(site.lanMbitPerSec, scenario.links.goodput);
  const slow = payloadBytesPerMs(faults.slow?.uploadMbitPerSec ?? 1, scenario.links.goodput);
  const dpRank = random.below(endpoints);
  const dpRole = { role: "dp", dp: undefined, rank: dpRank, siteSize: endpoints } as const;
  const cast = ids.map((id): Casting => {
    const isDp = id === dp;
    const rank = agents.indexOf(id);
    return {
      id,
      place: isDp ? dpRole : { role: "agent", dp, rank, siteSize: endpoints },
      startMs: random.between(0, scenario.start.endpointSpreadSec * 1000),
      uploadBytesPerMs: parts.slow.has(id) ? slow : lan,
      downloadBytesPerMs: lan,
      corruptShare: parts.corrupt.has(id) ? (faults.corrupt?.fragmentShare ?? 0) : 0,
      isSilent: parts.silent.has(id),
      hasPackage: isDp && site.isDpFull === true,
      ...(site.isWithoutTimeouts === true ? { lan: PATIENT } : {}),
      seed: random.below(2 ** 32),
    };
  });
  const incidents = drawIncidents(random, faults, dp, parts);
  const { wanLatencyMs, lanLatencyMs } = scenario.links;
  const limitMs = (LIMIT_FACTOR * draw.shape.sizeBytes) / draw.wanBytesPerMs + LIMIT_EXTRA_MS;
  const isSplit = faults.split !== undefined;
  return { ...draw, wanLatencyMs, lanLatencyMs, cast, incidents, isSplit, limitMs };
}

interface Parts {
  readonly corrupt: ReadonlySet<EndpointId>;
  readonly slow: ReadonlySet<EndpointId>;
  readonly silent: ReadonlySet<EndpointId>;
  readonly killed: ReadonlySet<EndpointId>;
  readonly laptops: ReadonlySet<EndpointId>;
}

// Nobody plays two parts, and somebody stays honest.
function drawParts(random: Random, agents: readonly EndpointId[], faults: Faults): Parts {
  const left = random.shuffled(agents);
  const count = left.length;
  const take = (share = 0): ReadonlySet<EndpointId> =>
    new Set(left.splice(0, Math.min(random.countOf(share, count), Math.max(0, left.length - 1))));
  return {
    corrupt: take(faults.corrupt?.share),
    slow: take(faults.slow?.share),
    silent: take(faults.silent?.share),
    killed: take(faults.killed?.share),
    laptops: take(faults.laptops?.share),
  };
}

function drawIncidents(
  random: Random,
  faults: Faults,
  dp: EndpointId | undefined,
  parts: Parts,
): readonly Incident[] {
  const incidents: Incident[] = [];
  if (faults.dp !== undefined && dp !== undefined) {
    const kind = faults.dp.kind === "killed" ? "kill" : "freeze";
    incidents.push({ atFraction: faults.dp.atFraction, kind, who: dp, awayMs: 0 });
  }
  if (faults.split !== undefined) {
    incidents.push({ atFraction: faults.split.untilFraction, kind: "heal" });
  }
  if (faults.restart !== undefined) {
    const { atFraction, spreadSec } = faults.restart;
    incidents.push({ atFraction, kind: "restart", awayMs: spreadSec * 1000 });
  }
  for (const atFraction of faults.holdersKilledAt ?? []) {
    incidents.push({ atFraction, kind: "kill", who: "holder", awayMs: 0 });
  }
  for (const who of parts.killed) {
    incidents.push({ atFraction: random.next(), kind: "kill", who, awayMs: 0 });
  }
  const awayMs = (faults.laptops?.awaySec ?? 0) * 1000;
  for (const who of parts.laptops) {
    incidents.push({ atFraction: random.next(), kind: "away", who, awayMs });
  }
  return incidents;
}

function endpointIds(count: number): readonly EndpointId[] {
  return Array.from({ length: count }, (_none, at) => {
    const key = Buffer.alloc(32);
    key.writeUInt32BE(at + 1);
    // Ids in no order of the cast: the smaller id of a pair dials first.
    key.writeUInt32BE(Math.imul(at + 1, 0x9e3779b1) >>> 0, 4);
    return endpointIdOf(key.swap32());
  });
}
