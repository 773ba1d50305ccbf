/**
 * A fleet too large for fragments: a stratified sample of sites is simulated with short packages, fitted
 * and extrapolated, and a fluid model carries the result to every site behind the shared origin.
 */
import { castSite, payloadBytesPerMs } from "./casting.ts";
import { fitLine, mean, valueAt } from "./extrapolation.ts";
import { shareOrigin } from "./fluid.ts";
import { packageShape, type PackageShape } from "./package-shape.ts";
import { Random } from "./random.ts";
import type { Scenario, SiteClass } from "./scenario.ts";
import { simulateSite, type SiteOutcome } from "./site-outcome.ts";

/** Starts and ends within half a second are taken together: hours are simulated. */
const FLUID_STEP_MS = 500;
const MESSAGE_BUCKET_MS = 10_000;

export interface FleetSite {
  readonly site: SiteClass;
  readonly wanMbitPerSec: number;
  readonly lineBytesPerMs: number;
  readonly startMs: number;
}

export interface Stratum {
  readonly name: string;
  readonly siteCount: number;
  readonly simulatedCount: number;
  /** What the sites of the stratum get on average: the line or a share of the origin. */
  readonly mbitPerSec: number;
  /** At the full length, on average. */
  readonly lostSec: number;
  readonly wanRatio: number;
  readonly leaseMessages: number;
  readonly forced: number;
  readonly unfinished: number;
}

export interface FleetOutcome {
  readonly sites: number;
  readonly endpoints: number;
  readonly simulatedSites: number;
  readonly simulatedFragments: readonly number[];
  readonly wholeFragments: number;
  readonly makespanSec: number;
  /** max(F ÷ W, S x F ÷ origin) with the goodput of the lines. */
  readonly boundSec: number;
  readonly makespanRatio: number;
  readonly goodWanShare: number;
  readonly peakLeaseMessagesPerSec: number;
  readonly meanLeaseMessagesPerSec: number;
  readonly peakFragmentRequestsPerSec: number;
  readonly worst: string;
  readonly strata: readonly Stratum[];
}

interface Placed extends FleetSite {
  readonly meanBytesPerMs: number;
}

/** One sampled site with what it is expected to cost at the full length. */
interface Cost {
  readonly lostMs: number;
  readonly extraBytes: number;
  readonly leaseMessages: number;
  readonly sampled: SiteOutcome;
  readonly seed: number;
}

interface Fitted {
  readonly stratum: Stratum;
  readonly members: readonly number[];
  readonly costs: readonly Cost[];
}

export type SampleSettings = NonNullable<Scenario["sample"]>;

export function simulateFleet(
  scenario: Scenario,
  sample: SampleSettings,
  seed: number,
): FleetOutcome {
  const random = new Random(seed);
  const shape = packageShape(scenario.package.bytes, scenario.package.fragmentBytes);
  const drawn = drawSites(scenario, random);
  const originBytesPerMs = payloadBytesPerMs(scenario.origin.mbitPerSec, scenario.links.goodput);
  const ideal = drawn.map((site) => ({ ...site, sizeBytes: shape.sizeBytes }));
  const ends = shareOrigin(ideal, originBytesPerMs, FLUID_STEP_MS);
  const placed = drawn.map((site, at): Placed => {
    const tookMs = Math.max(1, (ends[at] ?? 0) - site.startMs);
    return { ...site, meanBytesPerMs: shape.sizeBytes / tookMs };
  });
  const fitted = strataOf(placed, sample.rateBands).map((members) =>
    fitStratum(scenario, sample, { placed, members, shape, random }),
  );
  return outcomeOf(scenario, sample, { placed, shape, fitted, originBytesPerMs, random });
}

/** Every site of the scenario with its own line and start. */
export function drawSites(scenario: Scenario, random: Random): readonly FleetSite[] {
  return scenario.sites.flatMap((site) =>
    Array.from({ length: site.count }, (): FleetSite => {
      const { wanMbitPerSec: wan } = site;
      const wanMbitPerSec = typeof wan === "number" ? wan : random.betweenOctaves(wan.from, wan.to);
      const lineBytesPerMs = payloadBytesPerMs(wanMbitPerSec, scenario.links.goodput);
      const startMs = random.between(0, scenario.start.siteSpreadSec * 1000);
      return { site, wanMbitPerSec, lineBytesPerMs, startMs };
    }),
  );
}

// Sites of one class, cut into bands of equal number by the rate that they get.
function strataOf(placed: readonly Placed[], bandCount: number): readonly (readonly number[])[] {
  const classes = new Map<SiteClass, number[]>();
  for (const [at, { site }] of placed.entries()) {
    const members = classes.get(site);
    if (members === undefined) classes.set(site, [at]);
    else members.push(at);
  }
  return [...classes.values()].flatMap((members) => {
    const ordered = members
      .map((at) => ({ at, rate: placed[at]?.meanBytesPerMs ?? 0 }))
      .toSorted((one, other) => one.rate - other.rate)
      .map(({ at }) => at);
    const size = Math.ceil(ordered.length / bandCount);
    return Array.from({ length: Math.ceil(ordered.length / size) }, (_none, band) =>
      ordered.slice(band * size, (band + 1) * size),
    );
  });
}

function fitStratum(
  scenario: Scenario,
  sample: SampleSettings,
  stratum: {
    readonly placed: readonly Placed[];
    readonly members: readonly number[];
    readonly shape: PackageShape;
    readonly random: Random;
  },
): Fitted {
  const { placed, members, shape, random } = stratum;
  const chosen = random
    .shuffled(members)
    .slice(0, sample.sitesPerStratum)
    .flatMap((at) => placed[at] ?? []);
  const lengths = sample.fragmentCounts.toSorted((a, b) => a - b);
  const runs = chosen.map((place) => {
    const seed = random.below(2 ** 32);
    // The same cast meets every length, so that chance does not tilt the line.
    const outcomes = lengths.map((fragments) => simulatePlaced(scenario, place, fragments, seed));
    return { seed, outcomes };
  });
  const whole = shape.count;
  const lineOf = (value: (outcome: SiteOutcome) => number) =>
    fitLine(
      runs.flatMap(({ outcomes }) =>
        outcomes.map((outcome, at) => [lengths[at] ?? 0, value(outcome)] as const),
      ),
    );
  const longest = lengths.at(-1) ?? 0;
  const costs = runs.flatMap(({ seed, outcomes }): Cost[] => {
    const sampled = outcomes.at(-1);
    if (sampled === undefined) return [];
    // A site's own luck is kept as it was: faults do not multiply with the length of the package.
    const at = (value: (outcome: SiteOutcome) => number): number => {
      const line = lineOf(value);
      return Math.max(0, valueAt(line, whole) + value(sampled) - valueAt(line, longest));
    };
    return [
      {
        lostMs: at(lostMs),
        extraBytes: at(extraBytes),
        leaseMessages: at(messages),
        sampled,
        seed,
      },
    ];
  });
  return { members, costs, stratum: describe(chosen, members.length, shape, costs) };
}

function simulatePlaced(
  scenario: Scenario,
  { site, meanBytesPerMs }: Placed,
  fragments: number,
  seed: number,
): SiteOutcome {
  const { fragmentBytes, bytes } = scenario.package;
  const shape = packageShape(Math.min(bytes, fragments * fragmentBytes), fragmentBytes);
  return simulateSite(castSite(scenario, site, { shape, wanBytesPerMs: meanBytesPerMs, seed }));
}

// Time in which the line of the site did not carry anything, or the LAN was still at work.
function lostMs({ timeMs, wanBytes, wanRatio, floorMs }: SiteOutcome): number {
  const busyMs = wanBytes === 0 ? 0 : floorMs * wanRatio;
  return Math.max(0, timeMs - busyMs);
}

function extraBytes({ wanBytes, wanRatio }: SiteOutcome): number {
  return Math.max(0, wanBytes - wanBytes / wanRatio);
}

function messages({ leaseMessages }: SiteOutcome): number {
  return leaseMessages;
}

function describe(
  chosen: readonly Placed[],
  siteCount: number,
  shape: PackageShape,
  costs: readonly Cost[],
): Stratum {
  const rate = mean(chosen.map(({ meanBytesPerMs }) => meanBytesPerMs));
  return {
    name: chosen[0]?.site.name ?? "",
    siteCount,
    simulatedCount: chosen.length,
    mbitPerSec: (rate * 8) / 1000,
    lostSec: mean(costs.map((cost) => cost.lostMs)) / 1000,
    wanRatio: 1 + mean(costs.map((cost) => cost.extraBytes)) / shape.sizeBytes,
    leaseMessages: mean(costs.map((cost) => cost.leaseMessages)),
    forced: costs.reduce((sum, { sampled: { forced } }) => {
      return sum + forced.holderUnreachable + forced.noProgress;
    }, 0),
    unfinished: costs.reduce((sum, { sampled }) => sum + sampled.unfinished, 0),
  };
}

function outcomeOf(
  scenario: Scenario,
  sample: SampleSettings,
  fleet: {
    readonly placed: readonly Placed[];
    readonly shape: PackageShape;
    readonly fitted: readonly Fitted[];
    readonly originBytesPerMs: number;
    readonly random: Random;
  },
): FleetOutcome {
  const { placed, shape, fitted, originBytesPerMs, random } = fleet;
  // Every site costs what one of its stratum's sampled sites costs.
  const costs = new Map<number, Cost>();
  for (const { members, costs: sampled } of fitted) {
    for (const at of members) {
      const cost = sampled[random.below(sampled.length)];
      if (cost !== undefined) costs.set(at, cost);
    }
  }
  const loaded = placed.map((site, at) => {
    return { ...site, sizeBytes: shape.sizeBytes + (costs.get(at)?.extraBytes ?? 0) };
  });
  const ends = shareOrigin(loaded, originBytesPerMs, FLUID_STEP_MS).map(
    (endMs, at) => endMs + (costs.get(at)?.lostMs ?? 0),
  );
  const firstMs = placed.reduce((first, { startMs }) => Math.min(first, startMs), Infinity);
  const makespanMs = ends.reduce((last, endMs) => Math.max(last, endMs), 0) - firstMs;
  const slowest = placed.reduce((least, site) => Math.min(least, site.lineBytesPerMs), Infinity);
  const boundMs = Math.max(
    shape.sizeBytes / slowest,
    (placed.length * shape.sizeBytes) / originBytesPerMs,
  );
  const ratios = loaded.map(({ sizeBytes }) => sizeBytes / shape.sizeBytes);
  const leases = load(placed, ends, (at) => costs.get(at)?.leaseMessages ?? 0);
  const fetches = load(placed, ends, () => shape.count);
  return {
    sites: placed.length,
    endpoints: scenario.sites.reduce((sum, { count, endpoints }) => sum + count * endpoints, 0),
    simulatedSites: fitted.reduce((sum, { stratum }) => sum + stratum.simulatedCount, 0),
    simulatedFragments: sample.fragmentCounts,
    wholeFragments: shape.count,
    makespanSec: makespanMs / 1000,
    boundSec: boundMs / 1000,
    makespanRatio: makespanMs / boundMs,
    goodWanShare: ratios.filter((ratio) => ratio <= 1.01).length / ratios.length,
    peakLeaseMessagesPerSec: leases.peakPerSec,
    meanLeaseMessagesPerSec: leases.meanPerSec,
    peakFragmentRequestsPerSec: fetches.peakPerSec,
    worst: explainWorst(placed, ends, costs, shape),
    strata: fitted.map(({ stratum }) => stratum),
  };
}

/** Messages of all sites, each spread evenly over the site's own time. */
function load(
  placed: readonly Placed[],
  ends: readonly number[],
  messagesOf: (at: number) => number,
): { readonly peakPerSec: number; readonly meanPerSec: number } {
  const lastMs = ends.reduce((last, endMs) => Math.max(last, endMs), 1);
  const buckets = new Float64Array(Math.ceil(lastMs / MESSAGE_BUCKET_MS) + 1);
  let total = 0;
  for (const [at, { startMs }] of placed.entries()) {
    const endMs = Math.max(ends[at] ?? 0, startMs + 1);
    const perMs = messagesOf(at) / (endMs - startMs);
    total += messagesOf(at);
    const first = Math.floor(startMs / MESSAGE_BUCKET_MS);
    for (let bucket = first; bucket * MESSAGE_BUCKET_MS < endMs; bucket++) {
      const fromMs = Math.max(startMs, bucket * MESSAGE_BUCKET_MS);
      const toMs = Math.min(endMs, (bucket + 1) * MESSAGE_BUCKET_MS);
      buckets[bucket] = (buckets[bucket] ?? 0) + perMs * (toMs - fromMs);
    }
  }
  const peak = buckets.reduce((most, count) => Math.max(most, count), 0);
  return {
    peakPerSec: (peak * 1000) / MESSAGE_BUCKET_MS,
    meanPerSec: (total * 1000) / lastMs,
  };
}

function explainWorst(
  placed: readonly Placed[],
  ends: readonly number[],
  costs: ReadonlyMap<number, Cost>,
  shape: PackageShape,
): string {
  const lossOf = (at: number): number => {
    const cost = costs.get(at);
    return (cost?.lostMs ?? 0) + (cost?.extraBytes ?? 0) / (placed[at]?.meanBytesPerMs ?? 1);
  };
  const worst = placed.reduce((most, _site, at) => (lossOf(at) > lossOf(most) ? at : most), 0);
  const site = placed[worst];
  const cost = costs.get(worst);
  if (site === undefined || cost === undefined) return "";
  const { sampled, seed, lostMs: lost, extraBytes: extra } = cost;
  const seconds = ((ends[worst] ?? 0) - site.startMs) / 1000;
  return (
    `${site.site.name}, line ${site.wanMbitPerSec.toFixed(1)} Mbit/s, ` +
    `got ${((site.meanBytesPerMs * 8) / 1000).toFixed(2)} Mbit/s: ${seconds.toFixed(0)} s, of which ` +
    `${(lost / 1000).toFixed(0)} s without traffic, WAN ${(1 + extra / shape.sizeBytes).toFixed(4)}; ` +
    `its simulated twin (seed ${seed}): forced ${sampled.forced.holderUnreachable} holder unreachable, ` +
    `${sampled.forced.noProgress} no progress, ${sampled.extraFragments} fragments twice, ` +
    `${sampled.bans} bans, ${sampled.unfinished} unfinished`
  );
}
