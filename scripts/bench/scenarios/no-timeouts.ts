/** Scenario 6 where nobody has timeouts: the product has no such setting, so the simulator shows it. */
import { runScenario } from "../../simulate/run-scenario.ts";
import { loadScenario } from "../../simulate/scenario.ts";
import { bestSeconds } from "../swarm/course.ts";
import { shown, type Check, type Conditions } from "./scenario.ts";

const NAME = "6-slow-peers-no-timeouts";

export async function withoutTimeouts(conditions: Conditions): Promise<readonly Check[]> {
  const { peers, sizeBytes, wan, lan } = conditions;
  const scenario = await loadScenario(NAME);
  const [wanMbitPerSec, lanMbitPerSec] = [megabits(wan), megabits(lan)];
  const course = { endpoints: peers, wanMbitPerSec, lanMbitPerSec };
  const sites = scenario.sites.map((site) => ({ ...site, ...course }));
  const content = { ...scenario.package, bytes: sizeBytes };
  const { classes } = runScenario({ ...scenario, package: content, sites }, scenario.seed);
  return classes.flatMap(({ timeRatio }) => [
    shown("simulated without timeouts, median: time ÷ raw TCP", timeRatio.median),
    shown("simulated without timeouts, worst: time ÷ raw TCP", timeRatio.worst),
  ]);
}

function megabits(rate: string): number {
  return 1 / bestSeconds(125_000, rate);
}
