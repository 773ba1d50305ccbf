/** Two offices that can reach each other: each gets its own copy, and nothing is exchanged between them. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Lab } from "../support/lab.ts";
import { outputOf, type Fleet } from "../support/processes.ts";
import {
  addOffice,
  PACKAGE_BYTES,
  printFigures,
  publishNoise,
  refusal,
  startHeadOffice,
  startHosts,
  transfer,
  WAN,
  wanRatio,
} from "./office-fleet.ts";

const SITES = [0, 1];
const HOST_COUNT = 8;
const WAN_RATIO_MAX = 1.1;

// The lab needs root and network namespaces; the reason is printed when it is skipped.
describe.skipIf(refusal !== undefined)("two offices", () => {
  let lab: Lab;
  let fleet: Fleet;
  const names: string[] = [];

  beforeAll(async () => {
    lab = await Lab.build({ sites: SITES.length, hosts: HOST_COUNT, wan: WAN, hasVpn: true });
    fleet = await startHeadOffice(lab);
    for (const site of SITES) {
      await addOffice(fleet, lab, site);
      names.push(...(await startHosts(fleet, lab, site, HOST_COUNT)));
    }
  });

  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  it("BR-1 BR-6 sends each office one copy and lets none pass between them", async () => {
    await publishNoise(fleet, "lab/offices@1", PACKAGE_BYTES, 4);
    const order = { ref: "lab/offices@1", target: "all", names };

    const figures = await transfer(fleet, lab, order);

    const between = await lab.vpnBytes();
    printFigures("2 offices with 8 endpoints each", figures);
    process.stdout.write(`lab: between the offices ${between.down + between.up} bytes\n`);
    for (const site of SITES) {
      expect(wanRatio(figures, site)).toBeGreaterThan(0.99);
      expect(wanRatio(figures, site)).toBeLessThanOrEqual(WAN_RATIO_MAX);
    }
    expect(between).toEqual({ down: 0, up: 0 });
  });

  it("would see it if a host of one office reached the other", async () => {
    const [file = "", ...words] = lab.host(1, 0);
    const script = `require("node:net").connect(9, "${lab.address(0, 0)}").on("error", () => {})`;

    await outputOf(file, [...words, process.execPath, "--eval", script]);

    const between = await lab.vpnBytes();
    expect(between.down).toBeGreaterThan(0);
    expect(between.up).toBeGreaterThan(0);
  });
});
