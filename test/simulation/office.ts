/** Small offices for the tests of the simulator: one site, figures by default like a real one. */
import { castSite, payloadBytesPerMs } from "../../scripts/simulate/casting.ts";
import { packageShape } from "../../scripts/simulate/package-shape.ts";
import { parseScenario, type Scenario, type SiteClass } from "../../scripts/simulate/scenario.ts";
import { SiteSimulation } from "../../scripts/simulate/site-simulation.ts";

const FRAGMENT_BYTES = 262_144;

export interface Office {
  readonly endpoints?: number;
  readonly hasDp?: boolean;
  readonly fragments?: number;
  readonly faults?: NonNullable<SiteClass["faults"]>;
  readonly startSpreadSec?: number;
}

export function officeScenario(office: Office): Scenario {
  const { endpoints = 8, hasDp = false, fragments = 60, faults = {}, startSpreadSec = 1 } = office;
  return parseScenario({
    about: "a test",
    package: { bytes: fragments * FRAGMENT_BYTES, fragmentBytes: FRAGMENT_BYTES },
    sites: [
      {
        name: "office",
        count: 1,
        endpoints,
        hasDp,
        wanMbitPerSec: 20,
        lanMbitPerSec: 1000,
        faults,
      },
    ],
    start: { endpointSpreadSec: startSpreadSec, siteSpreadSec: 0 },
    links: { lanLatencyMs: 0.5, wanLatencyMs: 10, goodput: 0.955 },
    origin: { mbitPerSec: 10_000 },
    runs: 1,
    seed: 1,
  });
}

/** One run of the office to its end. */
export function simulated(office: Office, seed: number): SiteSimulation {
  const scenario = officeScenario(office);
  const shape = packageShape(scenario.package.bytes, scenario.package.fragmentBytes);
  const wanBytesPerMs = payloadBytesPerMs(20, scenario.links.goodput);
  const simulation = new SiteSimulation(
    castSite(scenario, scenario.sites[0]!, { shape, wanBytesPerMs, seed }),
  );
  simulation.run();
  return simulation;
}
