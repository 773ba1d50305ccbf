/** The same cell by the scheduler under virtual time. Links come from the raw stream, never from a swarm. */
import { FRAGMENT_AVERAGE_BYTES } from "../../../protocol/limits.ts";
import { castSite, payloadBytesPerMs } from "../../simulate/casting.ts";
import { packageShape } from "../../simulate/package-shape.ts";
import { parseScenario, type Scenario } from "../../simulate/scenario.ts";
import { outcomeOf } from "../../simulate/site-outcome.ts";
import type { Incident, SiteCourse } from "../../simulate/site-course.ts";
import { SiteSimulation } from "../../simulate/site-simulation.ts";
import type { Figures } from "../swarm/course.ts";
import {
  CHECK_IN_SEC,
  inUnitsOfAverage,
  KILL_AT_SHARE,
  LAN_MBIT_PER_SEC,
  SLOW_MBIT_PER_SEC,
  struckCount,
  type Cell,
  type CellRun,
} from "./cell.ts";

/** Content-defined fragments come out a fifth above their average setting (distribution 4.3). */
const FRAGMENT_MEAN_BYTES = Math.round(FRAGMENT_AVERAGE_BYTES * 1.2);
/** Two hosts of the lab are a switch apart; head office and office a router more. */
const LAN_LATENCY_MS = 0.5;
const WAN_LATENCY_MS = 1;

export function runSimulated(cell: Cell, raw: Pick<Figures, "time">, seed: number): CellRun {
  const scenario = scenarioOf(cell, 1 / raw.time);
  const [site] = scenario.sites;
  if (site === undefined) throw new Error("a scenario without its office");
  const shape = packageShape(cell.sizeBytes, FRAGMENT_MEAN_BYTES);
  const wanBytesPerMs = payloadBytesPerMs(cell.wanMbitPerSec, scenario.links.goodput);
  const course = struck(castSite(scenario, site, { shape, wanBytesPerMs, seed }), cell);
  const simulation = new SiteSimulation(course);
  simulation.run();
  const { timeRatio, wanRatio } = outcomeOf(simulation, course);
  const counted = [...simulation.nodes.values()].filter(
    ({ state, casting }) => state === "up" && casting.place.role !== "dp",
  );
  const uploads = inUnitsOfAverage(counted.map(({ uploadedBytes }) => uploadedBytes));
  return { time: timeRatio, wan: wanRatio, uploads };
}

function struck(course: SiteCourse, cell: Cell): SiteCourse {
  const agents = course.cast.filter(({ place }) => place.role !== "dp").map(({ id }) => id);
  const victims = new Set(agents.slice(0, struckCount(cell)));
  if (cell.fault === "kill") {
    const incidents = [...victims].map((who): Incident => {
      return { atFraction: KILL_AT_SHARE, kind: "kill", who, awayMs: 0 };
    });
    return { ...course, incidents };
  }
  const slow = payloadBytesPerMs(SLOW_MBIT_PER_SEC, 1);
  const cast = course.cast.map((casting) =>
    victims.has(casting.id) ? { ...casting, uploadBytesPerMs: slow } : casting,
  );
  return { ...course, cast };
}

function scenarioOf({ hosts, wanMbitPerSec, hasDp, sizeBytes }: Cell, goodput: number): Scenario {
  return parseScenario({
    about: "One cell of the lab.",
    package: { bytes: sizeBytes, fragmentBytes: FRAGMENT_MEAN_BYTES },
    sites: [
      {
        name: "office",
        count: 1,
        endpoints: hosts + (hasDp ? 1 : 0),
        hasDp,
        wanMbitPerSec,
        lanMbitPerSec: LAN_MBIT_PER_SEC,
      },
    ],
    start: { endpointSpreadSec: CHECK_IN_SEC, siteSpreadSec: 0 },
    links: { lanLatencyMs: LAN_LATENCY_MS, wanLatencyMs: WAN_LATENCY_MS, goodput },
    origin: { mbitPerSec: 10_000 },
    runs: 1,
    seed: 0,
  });
}
