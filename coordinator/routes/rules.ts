/** Deployment rules and the jobs that they make, or would make while they are off (OCO-27…OCO-32). */
import type { RuleDetail, RuleView } from "../../protocol/intent-api.ts";
import { inOrder, ruleObject } from "../store/intent-objects.ts";
import type { RuleRecord } from "../store/intent-records.ts";
import { TABLES } from "../store/tables.ts";
import { groupMembers } from "./group-walk.ts";
import { notFound } from "./intent-pen.ts";
import { jobsOf, jobView } from "./job-views.ts";
import type { Parts } from "./parts.ts";

export function ruleViews({ records }: Parts): RuleView[] {
  return inOrder(records.all(TABLES.rules)).map(viewOf);
}

// A page of jobs, not a fleet of plans.
const SHOWN_MEMBERS = 1000;

/** Throws NOT_FOUND. */
export async function ruleDetail(parts: Parts, name: string): Promise<RuleDetail> {
  const record = parts.records.get(TABLES.rules, name);
  if (record === undefined) throw notFound(`rule ${name}`);
  const members = await groupMembers(parts, record.endpointGroup);
  const jobs = jobsOf(parts, `rule/${name}`, members.slice(0, SHOWN_MEMBERS)).map(jobView);
  return { ...viewOf(record), endpointCount: members.length, jobs };
}

function viewOf(record: RuleRecord): RuleView {
  return { ...ruleObject(record), isEnabled: record.isEnabled === true };
}
