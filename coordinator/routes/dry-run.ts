/** What a call to one object would change, for calls that are no part of the intent. */
import type { ChangesAnswer, IntentChange } from "../../protocol/intent-api.ts";
import { canonicalText } from "../../protocol/json.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface Rehearsal extends Pick<IntentChange, "kind" | "name"> {
  /** Undefined: it is not there yet. */
  readonly before: Fields | undefined;
  readonly after: Fields;
  /** Null: not counted. */
  readonly endpointCount?: number | null;
}

export function dryRunAnswer({
  kind,
  name,
  before,
  after,
  endpointCount = null,
}: Rehearsal): ChangesAnswer {
  const all = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after)])];
  const fields =
    before === undefined ? [] : all.filter((field) => isChanged(before[field], after[field]));
  const change = before === undefined ? "create" : fields.length === 0 ? "none" : "update";
  return { isDryRun: true, changes: [{ kind, name, change, fields, endpointCount }] };
}

function isChanged(before: unknown, after: unknown): boolean {
  return textOf(before) !== textOf(after);
}

function textOf(value: unknown): string | undefined {
  return value === undefined ? undefined : canonicalText(value);
}
