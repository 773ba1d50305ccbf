/** Packages that note each of their runs in a file of the node's data folder. */
import { join } from "node:path";
import type { Action } from "../../../protocol/package-action.ts";
import type { DetectionRule, PackageRules } from "../../../protocol/package-rules.ts";
import {
  memoryPackage,
  packageOf,
  RUN_FIELDS,
  textOf,
  type JobFixture,
  type Order,
} from "./job-fixture.ts";

export function shell(text: string, successCodes: readonly number[] = [0]) {
  return {
    kind: "execute",
    command: [text],
    shell: true,
    captureExitCode: true,
    timeoutSec: RUN_FIELDS.timeoutSec,
    successCodes: [...successCodes],
  } satisfies Action;
}

export interface NotingOptions {
  readonly rules?: PackageRules;
  /** More of its script. */
  readonly more?: string;
  readonly level?: number;
}

export function notingPackage(
  { dataDir }: JobFixture,
  name: string,
  { rules = {}, more = "", level = 5 }: NotingOptions,
): Order["pack"] {
  const pack = memoryPackage(shell(`echo ${name} >> ${join(dataDir, "notes")}; ${more}`));
  return packageOf(pack, `acme/${name}@1`, rules, level);
}

export async function notesOf({ dataDir }: JobFixture): Promise<readonly string[]> {
  const text = await textOf(dataDir, "notes").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

/** The two above for the node that a test has right now: it starts another one on the same folder at times. */
export function notingOn(now: () => JobFixture) {
  return {
    noting: (name: string, rules: PackageRules = {}, more = "", level = 5) =>
      notingPackage(now(), name, { rules, more, level }),
    notes: async () => notesOf(now()),
  };
}

export const fileRule = (name: string): DetectionRule => ({ kind: "file", path: name });
