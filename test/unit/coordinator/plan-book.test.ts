import { describe, expect, it } from "vitest";
import type { Plan } from "../../../coordinator/core/plan/plan-model.ts";
import { openMemoryStore } from "../../../coordinator/store/memory-store.ts";
import { openPlanBook } from "../../../coordinator/store/plan-book.ts";
import { openRecords, setRecord } from "../../../coordinator/store/records.ts";
import { TABLES, type PackageRecord } from "../../../coordinator/store/tables.ts";
import {
  endpointIdOf,
  packageRefText,
  parseDigest,
  parsePackageRef,
} from "../../../protocol/ids.ts";
import { packageName } from "../../support/plan-world.ts";

const EMPTY: Plan = { instructions: [], waiting: [], preview: [], changesMs: undefined };
const id = (seed: number) => endpointIdOf(new Uint8Array(32).fill(seed));
const record = (text: string, isActive = true): PackageRecord => ({
  ...parsePackageRef(text),
  manifest: parseDigest("a".repeat(64)),
  manifestBytes: 1,
  level: 5,
  match: { epoch: 1, kind: "execute" },
  wireBytes: 0,
  fileBytes: 0,
  fragmentCount: 0,
  hasContent: false,
  isActive,
  createdMs: 1,
});

async function opened(...packages: readonly PackageRecord[]) {
  const records = await openRecords(openMemoryStore());
  const set = async (...more: readonly PackageRecord[]) =>
    records.change(() => ({
      changes: more.map((one) => setRecord(TABLES.packages, packageRefText(one), one)),
      result: undefined,
    }));
  await set(...packages);
  const book = openPlanBook(2);
  let made = 0;
  const plan = (
    seed: number,
    inputs: string,
    nowMs = 0,
    looked: readonly string[] = [],
    more = EMPTY,
  ) =>
    book.get(id(seed), { records, inputs, nowMs }, (catalog) => {
      made++;
      for (const name of looked) catalog.versions(packageName(name));
      return { ...more };
    });
  return { records, book, set, plan, count: () => made };
}

describe("the book of plans", () => {
  it("gives the very same plan for the same inputs, and another for others", async () => {
    const { plan, count } = await opened();

    expect(plan(1, "a")).toBe(plan(1, "a"));
    plan(1, "b");
    expect(count()).toBe(2);
  });

  it("plans again only for endpoints whose plan looked at a package that changed", async () => {
    const { plan, set, count } = await opened(record("a/x@1"), record("a/y@1"));
    plan(1, "a", 0, ["a/x"]);
    plan(2, "a", 0, ["a/y", "a/none"]);

    await set(record("a/x@2"));
    plan(1, "a", 0, ["a/x"]);
    plan(2, "a", 0, ["a/y", "a/none"]);
    expect(count()).toBe(3);
    await set(record("a/none@1"));
    plan(2, "a", 0, ["a/y", "a/none"]);
    expect(count()).toBe(4);
  });

  it("plans again when the plan's time is over", async () => {
    const { plan, count } = await opened();
    const timed = { ...EMPTY, changesMs: 100 };
    plan(1, "a", 0, [], timed);

    plan(1, "a", 99, [], timed);
    expect(count()).toBe(1);
    plan(1, "a", 100, [], timed);
    expect(count()).toBe(2);
  });

  it("drops the plan that was used longest ago", async () => {
    const { plan, count } = await opened();
    plan(1, "a");
    plan(2, "a");
    plan(1, "a");
    plan(3, "a");

    plan(1, "a");
    expect(count()).toBe(3);
    plan(2, "a");
    expect(count()).toBe(4);
  });

  it("knows the versions of a package, newest first", async () => {
    const { book, records } = await opened(
      record("a/x@1.9"),
      record("a/x@1.10"),
      record("a/y@1", false),
    );
    const packages = book.packages(records);

    expect(packages.versions(packageName("a/x")).map(({ version }) => version)).toEqual([
      "1.10",
      "1.9",
    ]);
    expect(packages.get(parsePackageRef("a/y@1"))).toMatchObject({ isActive: false, rules: {} });
    expect(packages.get(parsePackageRef("a/y@2"))).toBeUndefined();
  });

  it("makes the list for a site's DPs again only when something exact changed", async () => {
    const { book } = await opened();
    let made = 0;
    const make = () => {
      made++;
      return [parsePackageRef("a/x@1")];
    };
    const first = book.replicas("berlin", ["1", () => "exact"], make);

    expect(book.replicas("berlin", ["1", () => "never asked"], make)).toBe(first);
    expect(book.replicas("berlin", ["2", () => "exact"], make).revision).toBe(first.revision);
    expect(book.replicas("berlin", ["3", () => "other"], make).revision).not.toBe(first.revision);
    expect(made).toBe(2);
  });
});
