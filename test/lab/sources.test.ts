/** Every kind of source alone: a neighbour, a DP, the coordinator. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endpointOf, sha256Of } from "../support/deployments.ts";
import { Lab } from "../support/lab.ts";
import { until, type Fleet } from "../support/processes.ts";
import {
  addOffice,
  hostName,
  officeName,
  publishNoise,
  refusal,
  startHeadOffice,
  startHost,
  startHosts,
  transfer,
  WAN,
} from "./office-fleet.ts";

const SMALL_BYTES = 4_000_000;
/** So slow that the line can be cut while the second host still has most of the package to fetch. */
const SLOW_LAN = "3mbit";

// The lab needs root and network namespaces; the reason is printed when it is skipped.
describe.skipIf(refusal !== undefined)("sources", () => {
  let lab: Lab;
  let fleet: Fleet;

  beforeAll(async () => {
    lab = await Lab.build({ sites: 3, hosts: 2, wan: WAN });
    fleet = await startHeadOffice(lab);
    for (const site of [0, 1]) {
      await addOffice(fleet, lab, site);
      await startHosts(fleet, lab, site, 2);
    }
  });

  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  it("BR-7 works with the DP as the only neighbour", async () => {
    const [dp, agent] = [hostName(1, 0), hostName(1, 1)];
    await fleet.command(["dp", "enable", dp]);
    await until("the agent uses the DP", 30_000, async () =>
      (await endpointOf(fleet, agent)).dp === dp ? true : undefined,
    );
    await publishNoise(fleet, "lab/dp-only@1", SMALL_BYTES, 5);
    await transfer(fleet, lab, {
      ref: "lab/dp-only@1",
      target: `endpoint:${dp}`,
      names: [dp],
    });

    const order = { ref: "lab/dp-only@1", target: `endpoint:${agent}`, names: [agent] };
    const { jobs, wanBytes } = await transfer(fleet, lab, order);

    expect(jobs[0]?.bytes).toMatchObject({ peer: 0, origin: 0 });
    expect(jobs[0]?.bytes.dp).toBeGreaterThan(SMALL_BYTES);
    expect(wanBytes[1]).toBeLessThan(SMALL_BYTES / 10);
  });

  it("BR-7 works with the coordinator alone, at a place that no criteria match", async () => {
    const [site, host] = [2, 0];
    const name = hostName(site, host);
    await fleet.command(["site", "create", officeName(site), "--subnet", "10.99.0.0/24"]);
    await startHost(fleet, lab, site, host);
    await fleet.joined([name]);
    await publishNoise(fleet, "lab/alone@1", SMALL_BYTES, 6);

    const order = { ref: "lab/alone@1", target: `endpoint:${name}`, names: [name] };
    const { jobs } = await transfer(fleet, lab, order);

    expect(jobs[0]?.bytes).toMatchObject({ peer: 0, dp: 0 });
    expect(jobs[0]?.bytes.origin).toBeGreaterThan(SMALL_BYTES);
  });

  it("BR-4 completes from a neighbour after the line to the coordinator is cut", async () => {
    const [first, second] = [hostName(0, 0), hostName(0, 1)];
    await publishNoise(fleet, "lab/cut@1", SMALL_BYTES, 7);
    const firstOrder = { ref: "lab/cut@1", target: `endpoint:${first}`, names: [first] };
    await transfer(fleet, lab, firstOrder);
    await lab.limitHost(0, 1, SLOW_LAN);

    await fleet.command(["deploy", "lab/cut@1", "--to", `endpoint:${second}`]);
    await until("the second host has its order", 30_000, async () => {
      const { jobs } = await endpointOf(fleet, second);
      const job = jobs.find((each) => each.package === "lab/cut");
      return job?.state === "downloading" ? true : undefined;
    });
    await lab.cutWan(0);

    const published = join(fleet.folder, "noise-7.bin");
    const stored = join(fleet.nodeFolder(second), "store/noise-7/noise-7.bin");
    const digest = await until("the second host has the file", 90_000, async () =>
      sha256Of(stored).catch(() => undefined),
    );
    expect(digest).toBe(await sha256Of(published));
  });
});
