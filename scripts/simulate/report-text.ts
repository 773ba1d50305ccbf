/** The result of a scenario as text, beside what the design promises. */
import type { FleetOutcome } from "./fleet-simulation.ts";
import type { ClassResult, ScenarioResult, Spread } from "./run-scenario.ts";
import type { Scenario } from "./scenario.ts";

export function reportText(name: string, scenario: Scenario, result: ScenarioResult): string {
  const lines = [`${name} (seed ${result.seed}): ${scenario.about}`];
  for (const one of result.classes) lines.push(...classLines(scenario, one));
  if (result.fleet !== undefined) lines.push(...fleetLines(scenario, result.fleet));
  return lines.join("\n");
}

function classLines(scenario: Scenario, result: ClassResult): readonly string[] {
  const { expected = {} } = scenario;
  const { timeRatio, extraSec = 0 } = expected;
  const timeLimit = timeRatio === undefined ? undefined : timeRatio + extraSec / result.floorSec;
  const { forcedHolderUnreachable, forcedNoProgress, bans, unfinished } = result;
  return [
    `  ${result.name}: ${result.simulatedSites} site runs, every fragment simulated; median / worst`,
    row("time, in units of package / rate", result.timeRatio, 3, timeLimit),
    row("  the middle endpoint of the site", result.medianNodeRatio, 3),
    row("WAN bytes / package", result.wanRatio, 4, expected.wanRatio),
    row("busiest peer's upload / package", result.busiestUpload, 2, expected.busiestUpload),
    row("the DP's upload / package", result.dpUpload, 2),
    row("fragments sent twice", result.extraFragments, 0),
    row("lease messages", result.leaseMessages, 0),
    row("laptop's catching up, s", result.catchUpSec, 1),
    `    in all runs: forced ${forcedHolderUnreachable} holder unreachable, ${forcedNoProgress} no progress; ` +
      `${bans} bans; ${unfinished} endpoints unfinished; slowest with seed ${result.worstSeed}`,
  ];
}

function row(label: string, value: Spread, digits: number, limit?: number): string {
  const figures = [value.median, value.worst]
    .map((one) => one.toFixed(digits).padStart(9))
    .join("");
  return `    ${label.padEnd(34)}${figures}${judged(value.worst, limit, digits)}`;
}

function judged(value: number, limit: number | undefined, digits: number): string {
  if (limit === undefined) return "";
  // Judged as printed: what reads "2.00 <= 2.00" is kept.
  const isKept = Number(value.toFixed(digits)) <= Number(limit.toFixed(digits));
  return `   ${isKept ? "ok    " : "MISSED"} <= ${limit.toFixed(digits)}`;
}

function fleetLines(scenario: Scenario, fleet: FleetOutcome): readonly string[] {
  const { expected = {} } = scenario;
  const seconds = `makespan ${fleet.makespanSec.toFixed(0)} s, bound ${fleet.boundSec.toFixed(0)} s`;
  const simulated =
    `${fleet.simulatedSites} sites, each with packages of ${fleet.simulatedFragments.join(" and ")} fragments ` +
    `on the line rate that the site gets on average`;
  const messages = expected.messagesPerSec;
  return [
    `  ${fleet.sites} sites, ${fleet.endpoints} endpoints`,
    `  simulated by fragments: ${simulated}`,
    `  extrapolated: straight lines per stratum to ${fleet.wholeFragments} fragments; all sites as fluid behind the origin`,
    `    ${seconds}: ${fleet.makespanRatio.toFixed(3)}${judged(fleet.makespanRatio, expected.timeRatio, 3)}`,
    `    sites with WAN <= 1.01: ${(100 * fleet.goodWanShare).toFixed(1)} %   ${fleet.goodWanShare >= 0.99 ? "ok    " : "MISSED"} >= 99 %`,
    `    lease messages/s: mean ${fleet.meanLeaseMessagesPerSec.toFixed(0)}, peak ${fleet.peakLeaseMessagesPerSec.toFixed(0)}${judged(fleet.peakLeaseMessagesPerSec, messages, 0)}`,
    `    fragment requests/s: peak ${fleet.peakFragmentRequestsPerSec.toFixed(0)}`,
    `    worst site: ${fleet.worst}`,
    "    stratum          sites  simulated  Mbit/s  lost s     WAN  leases  forced  unfinished",
    ...fleet.strata.map((stratum) => {
      const cells = [
        stratum.name.padEnd(14),
        String(stratum.siteCount).padStart(8),
        String(stratum.simulatedCount).padStart(11),
        stratum.mbitPerSec.toFixed(2).padStart(8),
        stratum.lostSec.toFixed(1).padStart(8),
        stratum.wanRatio.toFixed(4).padStart(8),
        stratum.leaseMessages.toFixed(0).padStart(8),
        String(stratum.forced).padStart(8),
        String(stratum.unfinished).padStart(12),
      ];
      return `    ${cells.join("")}`;
    }),
  ];
}
