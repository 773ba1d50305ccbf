/** An assembly that consumes its fragments, cut off between any two of its steps, and the process after it. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Action } from "../../../protocol/package-action.ts";
import { swarmSections } from "../../../protocol/swarm-order.ts";
import { memoryPackage } from "../../support/memory-content.ts";
import { DyingNode, FILES, FRAGMENT_BYTES, PACK } from "./dying-node.ts";
import { RUN_FIELDS } from "./job-fixture.ts";

let node: DyingNode;
beforeEach(async () => {
  node = await DyingNode.open();
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

describe("an assembly that consumes its fragments", () => {
  it.each(["kill", "power cut"] as const)(
    "loses nothing to a %s between any two of its steps: not a fragment is fetched again",
    async (death) => {
      const steps = await node.stepsOf(PACK);
      const [section] = swarmSections(PACK.manifest.content!);
      let consumedCount = 0;
      for (let dieAt = 1; dieAt <= steps.length; dieAt++) {
        const what = `${death} at step ${dieAt}, ${steps[dieAt - 1]}: `;
        const first = await node.die(dieAt, death);
        if ((await node.heldFragments()).length < PACK.fragments.size) consumedCount++;

        const second = await node.live(PACK);

        expect(first.life.isDead, what).toBe(true);
        expect(second.outcome, what).toBe("success");
        expect(second.fetched, what).toEqual([]);
        await node.expectStored(FILES, what);
        expect((await node.heldFragments()).length, what).toBe(section.fragmentIndex);
        await node.clear();
      }
      // Most deaths came when fragments had been given up, or this proves nothing.
      expect(consumedCount).toBeGreaterThan(steps.length / 3);
    },
  );

  it("loses nothing to a second and a third death either", async () => {
    const { length } = await node.stepsOf(PACK);
    for (let pair = 0; pair < 12; pair++) {
      const death = pair % 2 === 0 ? "kill" : "power cut";
      const [one, two] = [1 + ((pair * 41) % length), 1 + ((pair * 29 + 7) % length)];
      const what = `${death} at step ${one}, then ${two}: `;
      await node.die(one, death);

      const second = await node.live(PACK, { dieAt: two, death });
      const third = await node.live(PACK, { dieAt: one, death });
      const last = await node.live(PACK);

      expect([...second.fetched, ...third.fetched, ...last.fetched], what).toEqual([]);
      await node.expectStored(FILES, what);
      await node.clear();
    }
  });

  it("writes no file again that was whole", async () => {
    const steps = await node.stepsOf(PACK);
    await node.die(steps.indexOf("writeFile last") + 1);

    const { life, outcome } = await node.live(PACK);

    expect(outcome).toBe("success");
    expect(life.steps).toContain("writeFile last");
    expect(life.steps.filter((step) => step === "writeFile large")).toEqual([]);
  });

  it("goes on after a stop in order", async () => {
    await node.hold(PACK);
    await node.stop(PACK);
    expect(await node.heldFragments()).not.toHaveLength(PACK.fragments.size);

    const { fetched, outcome } = await node.live(PACK);

    expect(outcome).toBe("success");
    expect(fetched).toEqual([]);
    await node.expectStored(FILES);
  });

  it("launches what was put together before the death, once, and fetches nothing", async () => {
    const notes = join(node.dataDir, "notes");
    const file = { path: "run.sh", text: `#!/bin/sh\necho ran >> ${notes}\n`, isExecutable: true };
    const action = { kind: "launch", program: "run.sh", args: [], ...RUN_FIELDS } satisfies Action;
    const pack = memoryPackage(action, [file, ...FILES], FRAGMENT_BYTES);
    const { length } = await node.stepsOf(pack);
    for (let dieAt = 5; dieAt <= length; dieAt += 7) {
      await node.hold(pack);
      const first = await node.live(pack, { dieAt });

      const second = await node.live(pack);

      const what = `kill at step ${dieAt}, ${first.life.steps.at(-1)}: `;
      expect(second.fetched, what).toEqual([]);
      expect(await readFile(notes, "utf8"), what).toBe("ran\n");
      expect(await readdir(join(node.dataDir, "tmp")), what).toEqual([]);
      await node.clear();
    }
  });
});
