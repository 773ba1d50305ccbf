/** A node that dies between any two of its durable writes, and the node that starts after it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { JobReport, Report } from "../../../protocol/report.ts";
import { jobFixture, type JobFixture, type Order } from "./job-fixture.ts";
import { fileRule, notesOf, notingPackage } from "./noting-packages.ts";

/** Writes of the whole course below; a later one changes nothing. */
const WRITES = 9;
const deaths = Array.from({ length: WRITES }, (_none, index) =>
  [false, true].map((isWritten) => ({ at: index + 1, isWritten })),
).flat();

/** Dependents first, one that is there already, one that fails once, and a restart at the end. */
async function ordersFor(node: JobFixture): Promise<readonly Order[]> {
  await writeFile(join(node.dataDir, "store", "there"), "");
  const once = join(node.dataDir, "failed-once");
  const failing = `[ -e ${once} ] || { touch ${once}; exit 1; }`;
  return [
    {
      pack: notingPackage(node, "there", { rules: { detection: [fileRule("there")] } }),
      change: { job: "there" },
    },
    {
      pack: notingPackage(node, "flaky", { more: failing }),
      change: { job: "flaky", attemptLimit: 3 },
    },
    { pack: notingPackage(node, "base", {}), change: { job: "base" } },
    {
      pack: notingPackage(node, "top", { rules: { postAction: "restart" } }),
      change: { job: "top", after: ["base", "flaky"] },
    },
  ];
}

function finalOf(reports: readonly Report[], job: string): readonly JobReport[] {
  return reports.filter(
    (one): one is JobReport => one.kind === "job" && one.job === job && one.outcome === "success",
  );
}

describe("a death between any two writes", () => {
  it.each(deaths)(
    "SE-17 loses no result and no log, and runs nothing twice: write $at, written $isWritten",
    async (death) => {
      let node = await jobFixture({ retryBaseMs: 1, death });
      const orders = await ordersFor(node);
      node.directAll(orders);
      await Promise.race([node.machine.told(), node.driver.run(AbortSignal.timeout(20_000))]).catch(
        () => undefined,
      );

      node = await node.restarted();
      node.directAll(orders);
      await node.machine.told();
      await node.quiet();

      const { outbox, actions, records, installed, power } = node.journal.state;
      const reports = [...outbox.values()];
      const runs = await notesOf(node);
      await node[Symbol.asyncDispose]();
      for (const job of ["there", "flaky", "base", "top"]) {
        expect(finalOf(reports, job), job).toHaveLength(1);
        expect(records.get(`${job}/aaaaaaaaaaaaaaaa`)?.isDone).toBe(true);
      }
      const count = (name: string): number => runs.filter((one) => one === name).length;
      expect([count("there"), count("base"), count("top")]).toEqual([0, 1, 1]);
      expect(count("flaky")).toBe(2);
      expect(actions.map((one) => `${one.package} ${one.outcome}`).toSorted()).toEqual([
        "acme/base@1 success",
        "acme/flaky@1 failed",
        "acme/flaky@1 success",
        "acme/there@1 success",
        "acme/top@1 success",
      ]);
      expect([...installed.keys()].toSorted()).toEqual(["acme/base", "acme/flaky", "acme/top"]);
      expect(power?.need).toMatchObject({ kind: "restart", job: "top" });
      expect(node.machine.orders.every(([kind]) => kind === "restart")).toBe(true);
    },
  );
});
