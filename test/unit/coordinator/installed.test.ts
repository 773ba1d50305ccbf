import { describe, expect, it } from "vitest";
import {
  forgottenAfter,
  installedAfter,
  isInstalled,
} from "../../../coordinator/core/plan/installed.ts";
import type { PlanInstalled } from "../../../coordinator/core/plan/plan-model.ts";
import { packageRefText, parsePackageRef } from "../../../protocol/ids.ts";
import type { Operation } from "../../../protocol/intent.ts";
import type { PackageRules } from "../../../protocol/package-rules.ts";
import type { JobState } from "../../../protocol/report.ts";
import { REMOVABLE, row } from "../../support/plan-world.ts";

const after = (
  list: readonly PlanInstalled[],
  text: string,
  operation: Operation = "install",
  state: JobState = "succeeded",
  rules: PackageRules = REMOVABLE,
) => installedAfter(list, { ref: parsePackageRef(text), operation, state }, () => rules, 100);
const there = (list: readonly PlanInstalled[]) => list.filter(isInstalled).map(packageRefText);

describe("installed records", () => {
  it("follow successful installs and uninstalls, and nothing else", () => {
    const one = after([], "a/app@1");

    expect(one).toEqual([{ ...parsePackageRef("a/app@1"), sinceMs: 100 }]);
    expect(after(one, "a/app@1")).toBe(one);
    expect(after(one, "a/app@2", "install", "failed")).toBe(one);
    expect(after(one, "a/app@1", "launch")).toBe(one);
    expect(there(after(one, "a/app@1", "uninstall"))).toEqual([]);
    expect(there(after([], "a/app@1", "install", "alreadyInstalled"))).toEqual(["a/app@1"]);
  });

  it("OCO-37 stay when an uninstall failed, until they are forgotten by hand", () => {
    const one = [row("a/app@1")];

    expect(after(one, "a/app@1", "uninstall", "failed")).toBe(one);
    const forgotten = forgottenAfter(one, parsePackageRef("a/app@1"), 50);
    expect(forgotten).toEqual([{ ...row("a/app@1"), removedMs: 50 }]);
    expect(forgottenAfter(forgotten, parsePackageRef("a/app@1"), 60)).toBe(forgotten);
  });

  it("remember a removal when the version comes back", () => {
    const back = after([{ ...row("a/app@1", 5), removedMs: 100 }], "a/app@1");

    expect(back).toEqual([{ ...row("a/app@1", 101), removedMs: 100 }]);
    expect(there(back)).toEqual(["a/app@1"]);
  });

  it("keep an older version by its successor's upgrade behaviour", () => {
    const old = [row("a/app@1")];

    expect(there(after(old, "a/app@2"))).toEqual(["a/app@1", "a/app@2"]);
    expect(there(after(old, "a/app@2", "install", "succeeded", {}))).toEqual(["a/app@2"]);
    expect(there(after(old, "a/app@2", "install", "succeeded", { upgrade: "replaces" }))).toEqual([
      "a/app@2",
    ]);
    expect(there(after(old, "a/app@2", "install", "succeeded", { upgrade: "keep" }))).toEqual([
      "a/app@1",
      "a/app@2",
    ]);
  });

  it("OCO-33 take a newer procedure of a version as that version", () => {
    expect(there(after([row("a/app@1")], "a/app@1+2"))).toEqual(["a/app@1+2"]);
  });
});
