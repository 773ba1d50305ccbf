/** One office behind a slow line: what crosses it, and how long it takes. Figures from port counters. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  hostName,
  PACKAGE_BYTES,
  printFigures,
  publishNoise,
  refusal,
  startDp,
  startHost,
  startOffice,
  transfer,
  validTimeRatio,
  wanRatio,
  type Office,
} from "./office-fleet.ts";

const AGENT_COUNT = 8;
const KILLED = [1, 3, 5, 7];
/** TCP, TLS and check-ins cost about 6 % of the payload. */
const WAN_RATIO_MAX = 1.1;
const TIME_RATIO_MAX = 1.35;
const REFETCH_MAX = 0.05;

// The lab needs root and network namespaces; the reason is printed when it is skipped.
describe.skipIf(refusal !== undefined)("one office", () => {
  let office: Office;
  let baseRatio = 1;

  beforeAll(async () => {
    office = await startOffice(AGENT_COUNT);
  });

  afterAll(async () => office?.[Symbol.asyncDispose]());

  it("BR-1 BR-7 brings one copy over the line for eight endpoints without a DP", async () => {
    const { lab, fleet, agents } = office;
    await publishNoise(fleet, "lab/peers@1", PACKAGE_BYTES, 1);

    const figures = await transfer(fleet, lab, {
      ref: "lab/peers@1",
      target: "all",
      names: agents,
    });

    printFigures("8 endpoints, no DP", figures);
    baseRatio = wanRatio(figures);
    expect(wanRatio(figures)).toBeGreaterThan(0.99);
    expect(wanRatio(figures)).toBeLessThanOrEqual(WAN_RATIO_MAX);
    expect(validTimeRatio(figures) ?? 0).toBeLessThanOrEqual(TIME_RATIO_MAX);
  });

  it("fetches little twice when half of the agents are killed in the middle", async () => {
    const { lab, fleet, agents } = office;
    await publishNoise(fleet, "lab/killed@1", 2 * PACKAGE_BYTES, 2);

    const order = { ref: "lab/killed@1", target: "all", names: agents };
    const figures = await transfer(fleet, lab, order, async (crossed) => {
      await crossed(PACKAGE_BYTES);
      await Promise.all(KILLED.map(async (host) => fleet.nodes.get(hostName(0, host))?.kill()));
      for (const host of KILLED) await startHost(fleet, lab, 0, host);
    });

    printFigures("4 of 8 agents killed and restarted", figures);
    expect(wanRatio(figures) - baseRatio).toBeLessThanOrEqual(REFETCH_MAX);
  });

  it("BR-1 brings one copy over the line for eight endpoints with a DP", async () => {
    const { lab, fleet, agents } = office;
    const dp = await startDp(office);
    await publishNoise(fleet, "lab/with-dp@1", PACKAGE_BYTES, 3);

    const figures = await transfer(fleet, lab, {
      ref: "lab/with-dp@1",
      target: "all",
      names: [...agents, dp],
    });

    printFigures("8 endpoints and a DP", figures);
    const fromDp = figures.jobs.reduce((sum, { bytes }) => sum + bytes.dp, 0);
    expect(wanRatio(figures)).toBeGreaterThan(0.99);
    expect(wanRatio(figures)).toBeLessThanOrEqual(WAN_RATIO_MAX);
    expect(validTimeRatio(figures) ?? 0).toBeLessThanOrEqual(TIME_RATIO_MAX);
    expect(fromDp).toBeGreaterThan(0);
  });
});
