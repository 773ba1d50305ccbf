/** An office that loses its DP, or falls apart, while a package is on its way. Figures from port counters. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  printFigures,
  publishNoise,
  refusal,
  startDp,
  startOffice,
  transfer,
  validTimeRatio,
  wanRatio,
  type Office,
} from "./office-fleet.ts";

const AGENT_COUNT = 6;
const FIRST_FAR_HOST = AGENT_COUNT / 2;
const SIZE_BYTES = 12_000_000;
/** Headers and check-ins of a small package, and what was on its way when the DP died. */
const WAN_RATIO_MAX = 1.2;
/** The line alone needs 4.8 s; a silent DP is waited for 3 s before others take over. */
const TIME_RATIO_MAX = 3;
/** A copy for each island, and the time until the office is sure that it is split. */
const ISLANDS_TIME_RATIO_MAX = 4;

// The lab needs root and network namespaces; the reason is printed when it is skipped.
describe.skipIf(refusal !== undefined)("an office with faults", () => {
  let office: Office;

  beforeAll(async () => {
    office = await startOffice(AGENT_COUNT);
  });

  afterAll(async () => office?.[Symbol.asyncDispose]());

  it("BR-4 gives each of two islands one copy, and both halves one as soon as they are joined", async () => {
    const { lab, fleet, agents } = office;
    await lab.split(0, FIRST_FAR_HOST);
    await publishNoise(fleet, "lab/islands@1", SIZE_BYTES, 21);
    const apart = await transfer(fleet, lab, {
      ref: "lab/islands@1",
      target: "all",
      names: agents,
    });
    await lab.heal(0, FIRST_FAR_HOST);
    await publishNoise(fleet, "lab/joined@1", SIZE_BYTES, 22);

    const joined = await transfer(fleet, lab, {
      ref: "lab/joined@1",
      target: "all",
      names: agents,
    });

    printFigures("two islands", apart);
    printFigures("joined again", joined);
    expect(wanRatio(apart)).toBeGreaterThan(1.5);
    expect(wanRatio(apart)).toBeLessThanOrEqual(2 * WAN_RATIO_MAX);
    expect(validTimeRatio(apart) ?? 0).toBeLessThanOrEqual(ISLANDS_TIME_RATIO_MAX);
    expect(wanRatio(joined)).toBeLessThanOrEqual(WAN_RATIO_MAX);
  });

  it("BR-7 goes on with one copy over the line when the DP is killed in the middle", async () => {
    const { lab, fleet, agents } = office;
    const dp = await startDp(office);
    await publishNoise(fleet, "lab/lost-dp@1", SIZE_BYTES, 23);

    const order = { ref: "lab/lost-dp@1", target: "all", names: agents };
    const figures = await transfer(fleet, lab, order, async (crossed) => {
      await crossed(SIZE_BYTES / 2);
      await fleet.nodes.get(dp)?.kill();
    });

    printFigures("the DP killed at 50 %", figures);
    expect(wanRatio(figures)).toBeLessThanOrEqual(WAN_RATIO_MAX);
    expect(validTimeRatio(figures) ?? 0).toBeLessThanOrEqual(TIME_RATIO_MAX);
  });
});
