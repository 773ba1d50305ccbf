/** Runs a scenario: every site by fragments, or a sample of them where there is one to take. */
import { castSite, payloadBytesPerMs } from "./casting.ts";
import { median } from "./extrapolation.ts";
import { drawSites, simulateFleet, type FleetOutcome, type FleetSite } from "./fleet-simulation.ts";
import { shareOrigin } from "./fluid.ts";
import { packageShape } from "./package-shape.ts";
import { Random } from "./random.ts";
import type { Scenario, SiteClass } from "./scenario.ts";
import { simulateSite, type SiteOutcome } from "./site-outcome.ts";

export interface Spread {
  readonly median: number;
  readonly worst: number;
}

/** All simulated sites of one class, over all runs. */
export interface ClassResult {
  readonly name: string;
  readonly simulatedSites: number;
  readonly timeRatio: Spread;
  readonly medianNodeRatio: Spread;
  readonly wanRatio: Spread;
  readonly busiestUpload: Spread;
  readonly dpUpload: Spread;
  readonly leaseMessages: Spread;
  readonly extraFragments: Spread;
  readonly catchUpSec: Spread;
  readonly forcedHolderUnreachable: number;
  readonly forcedNoProgress: number;
  readonly bans: number;
  readonly unfinished: number;
  readonly floorSec: number;
  readonly worstSeed: number;
}

export interface ScenarioResult {
  readonly seed: number;
  readonly classes: readonly ClassResult[];
  readonly fleet?: FleetOutcome;
}

interface Simulated {
  readonly site: SiteClass;
  readonly seed: number;
  readonly outcome: SiteOutcome;
}

export function runScenario(scenario: Scenario, seed: number): ScenarioResult {
  const { sample } = scenario;
  if (sample !== undefined) {
    return { seed, classes: [], fleet: simulateFleet(scenario, sample, seed) };
  }
  const simulated = Array.from({ length: scenario.runs }, (_none, run) =>
    simulateWhole(scenario, seed + run),
  ).flat();
  const classes = scenario.sites.map((site) =>
    resultOf(
      site.name,
      simulated.filter((one) => one.site === site),
    ),
  );
  return { seed, classes };
}

function simulateWhole(scenario: Scenario, seed: number): readonly Simulated[] {
  const random = new Random(seed);
  const shape = packageShape(scenario.package.bytes, scenario.package.fragmentBytes);
  const sites = drawSites(scenario, random);
  const rates = ratesOf(scenario, sites, shape.sizeBytes);
  return sites.map(({ site }, at) => {
    const siteSeed = sites.length === 1 ? seed : random.below(2 ** 32);
    const wanBytesPerMs = rates[at] ?? 1;
    const course = castSite(scenario, site, { shape, wanBytesPerMs, seed: siteSeed });
    return { site, seed: siteSeed, outcome: simulateSite(course) };
  });
}

/** What each site gets on average while all share the origin. */
function ratesOf(
  scenario: Scenario,
  sites: readonly FleetSite[],
  sizeBytes: number,
): readonly number[] {
  const origin = payloadBytesPerMs(scenario.origin.mbitPerSec, scenario.links.goodput);
  const ends = shareOrigin(
    sites.map((site) => ({ ...site, sizeBytes })),
    origin,
  );
  return sites.map(({ startMs }, at) => sizeBytes / ((ends[at] ?? 0) - startMs));
}

function resultOf(name: string, simulated: readonly Simulated[]): ClassResult {
  const spread = (value: (outcome: SiteOutcome) => number): Spread => {
    const values = simulated.map(({ outcome }) => value(outcome));
    return { median: median(values), worst: Math.max(...values) };
  };
  const sum = (value: (outcome: SiteOutcome) => number): number =>
    simulated.reduce((total, { outcome }) => total + value(outcome), 0);
  const [worst] = simulated.toSorted((a, b) => b.outcome.timeRatio - a.outcome.timeRatio);
  return {
    name,
    simulatedSites: simulated.length,
    timeRatio: spread(({ timeRatio }) => timeRatio),
    medianNodeRatio: spread(({ medianTimeRatio }) => medianTimeRatio),
    wanRatio: spread(({ wanRatio }) => wanRatio),
    busiestUpload: spread(({ busiestUpload }) => busiestUpload),
    dpUpload: spread(({ dpUpload }) => dpUpload),
    leaseMessages: spread(({ leaseMessages }) => leaseMessages),
    extraFragments: spread(({ extraFragments }) => extraFragments),
    catchUpSec: spread(({ catchUpMs }) => catchUpMs / 1000),
    forcedHolderUnreachable: sum(({ forced }) => forced.holderUnreachable),
    forcedNoProgress: sum(({ forced }) => forced.noProgress),
    bans: sum(({ bans }) => bans),
    unfinished: sum(({ unfinished }) => unfinished),
    floorSec: (worst?.outcome.floorMs ?? 0) / 1000,
    worstSeed: worst?.seed ?? 0,
  };
}
