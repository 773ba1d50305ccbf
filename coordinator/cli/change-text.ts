/** What a call changed, or would change, as a person reads it. */
import type { ChangesAnswer, IntentChange } from "../../protocol/intent-api.ts";
import { countText } from "./quantities.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export interface ChangeOptions {
  readonly json?: boolean;
  readonly dryRun?: boolean;
}

const WORDS: Readonly<Record<IntentChange["kind"], string>> = {
  endpointGroup: "endpoint group",
  packageGroup: "package group",
  assignment: "assignment",
  rule: "rule",
  container: "container",
  rollout: "rollout",
  window: "window",
  deployment: "deployment",
  package: "package",
  jobs: "jobs",
  site: "site",
  token: "join token",
  endpoint: "endpoint",
};

export function changesText({ isDryRun, changes }: ChangesAnswer): string {
  const real = changes.filter(({ change }) => change !== "none");
  if (real.length === 0) return "nothing to change\n";
  const rows = real.map(({ kind, name, change, fields, endpointCount }) => [
    WORDS[kind],
    name,
    change,
    fields.join(", "),
    endpointCount === null ? "not counted" : String(endpointCount),
  ]);
  const table = tableText(["KIND", "NAME", "CHANGE", "FIELDS", "ENDPOINTS"], rows);
  const what = countText(real.length, "object");
  return isDryRun ? `${table}dry run: ${what} would change, nothing was done\n` : table;
}

export function printChanges(
  answer: ChangesAnswer,
  options: ChangeOptions,
  session: Session,
): void {
  printResult(session.terminal, options.json, answer, changesText(answer));
}

export function dryRunField({ dryRun }: ChangeOptions): { isDryRun?: true } {
  return dryRun === true ? { isDryRun: true } : {};
}
