/** Deployment rules at the command line: made, switched, and their jobs shown, also while they are off. */
import { parseRuleDetail, parseRules } from "../../protocol/intent-api.ts";
import { jobsText } from "./container.ts";
import { applyObjects, type ChangingOptions } from "./group.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { countText } from "./quantities.ts";
import { scheduleFrom, type ScheduleOptions } from "./schedule-options.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export async function listRules(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const rules = await client.ask("/v1/rules", parseRules);
  const rows = rules.map((rule) => [
    rule.name,
    rule.isEnabled ? "on" : "off",
    rule.packageGroup,
    rule.endpointGroup,
  ]);
  const text =
    rows.length === 0
      ? "no rule yet\nnext: branchline rule set --help\n"
      : tableText(["NAME", "IS", "PACKAGE GROUP", "ENDPOINT GROUP"], rows);
  printResult(session.terminal, options.json, { rules }, text);
}

export interface RuleOptions extends ChangingOptions, ScheduleOptions {
  readonly packages: string;
  readonly endpoints: string;
  readonly enabled?: boolean;
}

export async function setRule(name: string, options: RuleOptions, session: Session): Promise<void> {
  const schedule = scheduleFrom(options);
  const rule = {
    name,
    packageGroup: options.packages,
    endpointGroup: options.endpoints,
    ...(options.enabled === true ? { isEnabled: true } : {}),
    ...(schedule === undefined ? {} : { schedule }),
  };
  await applyObjects({ rules: [rule] }, options, session);
}

export async function showRule(
  name: string,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const rule = await client.ask(`/v1/rules/${encodeURIComponent(name)}`, parseRuleDetail);
  const head = rule.isEnabled
    ? `${name}: on, ${countText(rule.jobs.length, "job")}\n`
    : `${name}: off; it would make ${countText(rule.jobs.length, "job")}\n`;
  printResult(session.terminal, options.json, rule, head + jobsText(rule.jobs));
}
