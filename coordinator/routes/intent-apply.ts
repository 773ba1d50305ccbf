/**
 * POST /v1/intent: the objects of one file become the coordinator's, all or nothing. Decided on a draft, so
 * that they can name one another and a dry run is the same code without its last step.
 */
import type { ApplyInput, ChangesAnswer } from "../../protocol/intent-api.ts";
import { openDraft } from "../store/record-draft.ts";
import { checkDraft } from "./intent-integrity.ts";
import { changeList, type Touch } from "./intent-changes.ts";
import { pruneOthers } from "./intent-removal.ts";
import {
  writeAssignment,
  writeContainer,
  writeEndpointGroup,
  writePackageGroup,
  writeRollout,
  writeRule,
  writeWindow,
} from "./intent-writers.ts";
import { settleSnapshots } from "./rule-snapshots.ts";
import type { Parts } from "./parts.ts";

export async function applyIntent(parts: Parts, input: ApplyInput): Promise<ChangesAnswer> {
  const { intent, isDryRun = false, isPruning = false } = input;
  return parts.records.change(() => {
    const draft = openDraft(parts.records);
    const pen = { parts, draft, nowMs: parts.now() };
    // Groups before what names them.
    const touches: readonly Touch[] = [
      ...(intent.endpointGroups ?? []).map((one) => writeEndpointGroup(pen, one)),
      ...(intent.packageGroups ?? []).map((one) => writePackageGroup(pen, one)),
      ...(intent.assignments ?? []).map((one) => writeAssignment(pen, one)),
      ...(intent.rules ?? []).map((one) => writeRule(pen, one)),
      ...(intent.containers ?? []).map((one) => writeContainer(pen, one)),
      ...(intent.rollouts ?? []).map((one) => writeRollout(pen, one)),
      ...(intent.windows ?? []).map((one) => writeWindow(pen, one)),
      ...(isPruning ? pruneOthers(pen, intent) : []),
    ];
    settleSnapshots(pen);
    checkDraft(pen);
    const changes = changeList(pen, touches, isDryRun);
    return { changes: isDryRun ? [] : draft.changes(), result: { isDryRun, changes } };
  });
}
