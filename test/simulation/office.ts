/** Small offices for the tests of the simulator: one site, figures by default like a real one. */
import { castSite, payloadBytesPerMs } from "../../scripts/simulate/casting.ts";
import { packageShape } from "../../scripts/simulate/package-shape.ts";
import { parseScenario, type Scenario, type SiteClass } from "../../scripts/simulate/scenario.ts";
import { simulateSite, type SiteOutcome } from "../../scripts/simulate/site-outcome.ts";
import type { SiteCourse } from "../../scripts/simulate/site-course.ts";
import { SiteSimulation } from "../../scripts/simulate/site-simulation.ts";

const FRAGMENT_BYTES = 262_144;

export interface Office {
  readonly endpoints?: number;
  readonly hasDp?: boolean;
  readonly fragments?: number;
  readonly wanMbitPerSec?: number;
  readonly wanLatencyMs?: number;
  readonly lanMbitPerSec?: number;
  readonly isDpFull?: boolean;
  readonly isWithoutTimeouts?: boolean;
  readonly faults?: NonNullable<SiteClass["faults"]>;
  readonly startSpreadSec?: number;
}

export function officeScenario(office: Office): Scenario {
  const { endpoints = 8, hasDp = false, fragments = 60, faults = {}, startSpreadSec = 1 } = office;
  const { wanMbitPerSec = 20, wanLatencyMs = 10, lanMbitPerSec = 1000, isDpFull = false } = office;
  const { isWithoutTimeouts = false } = office;
  return parseScenario({
    about: "a test",
    package: { bytes: fragments * FRAGMENT_BYTES, fragmentBytes: FRAGMENT_BYTES },
    sites: [
      {
        name: "office",
        count: 1,
        endpoints,
        hasDp,
        isDpFull,
        isWithoutTimeouts,
        wanMbitPerSec,
        lanMbitPerSec,
        faults,
      },
    ],
    start: { endpointSpreadSec: startSpreadSec, siteSpreadSec: 0 },
    links: { lanLatencyMs: 0.5, wanLatencyMs, goodput: 0.955 },
    origin: { mbitPerSec: 10_000 },
    runs: 1,
    seed: 1,
  });
}

/** One run of the office to its end. */
export function simulated(office: Office, seed: number): SiteSimulation {
  const simulation = new SiteSimulation(courseOf(office, seed));
  simulation.run();
  return simulation;
}

/** The figures of one run. */
export function outcomeOf(office: Office, seed: number): SiteOutcome {
  return simulateSite(courseOf(office, seed));
}

function courseOf(office: Office, seed: number): SiteCourse {
  const scenario = officeScenario(office);
  const shape = packageShape(scenario.package.bytes, scenario.package.fragmentBytes);
  const wanBytesPerMs = payloadBytesPerMs(office.wanMbitPerSec ?? 20, scenario.links.goodput);
  return castSite(scenario, scenario.sites[0]!, { shape, wanBytesPerMs, seed });
}
