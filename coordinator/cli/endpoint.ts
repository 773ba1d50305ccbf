/** `endpoint` and `why`: what is on one endpoint, what it did, and why its wishes stand as they do. */
import { parseChangesAnswer } from "../../protocol/intent-api.ts";
import {
  parseEndpointDetail,
  parseWhy,
  type EndpointDetail,
  type Why,
} from "../../protocol/page-api.ts";
import { parseEndpointName, parsePackageName, parsePackageRef } from "../../protocol/ids.ts";
import type { BarNote } from "../../protocol/standing.ts";
import { dryRunField, printChanges } from "./change-text.ts";
import type { ChangingOptions } from "./group.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { agoText, countText } from "./quantities.ts";
import { shownText, tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export type EndpointPart = "show" | "software" | "log";

/** The same document for a program; the part that was asked for, for a person. */
export async function showEndpoint(
  name: string,
  part: EndpointPart,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const path = `/v1/endpoints/${encodeURIComponent(name)}`;
  const detail = await client.ask(path, parseEndpointDetail);
  const text = { show: pageText, software: softwareText, log: logText }[part](
    detail,
    session.nowMs(),
  );
  printResult(session.terminal, options.json, detail, text);
}

/** Only the coordinator's record goes; nothing runs on the endpoint (OCO-36). */
export async function forgetInstalled(
  endpoint: string,
  packageText: string,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const ref = parsePackageRef(packageText);
  const body = { endpoint: parseEndpointName(endpoint), ...ref, ...dryRunField(options) };
  const answer = await client.tell("POST", "/v1/installed/remove", body, parseChangesAnswer);
  printChanges(answer, options, session);
}

export async function showWhy(
  endpoint: string,
  packageName: string | undefined,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const query =
    packageName === undefined
      ? ""
      : `?package=${encodeURIComponent(parsePackageName(packageName))}`;
  const path = `/v1/endpoints/${encodeURIComponent(endpoint)}/why${query}`;
  const why = await client.ask(path, parseWhy);
  printResult(session.terminal, options.json, why, whyText(why, session.nowMs()));
}

export function whyText({ endpoint, jobs, bar }: Why, nowMs: number): string {
  if (jobs.length === 0) return `${barText(bar, nowMs)}nothing is wished of ${endpoint}\n`;
  const texts = jobs
    .map((job) => {
      const version = job.version === null ? "" : `@${job.version}`;
      const attempts = job.attempt === 0 ? "" : `, attempt ${job.attempt} of ${job.attemptLimit}`;
      const preview = job.isPreview ? " (preview of a disabled rule)" : "";
      const head = `${job.name}${version} ${job.operation}: ${job.state}${attempts}${preview}\n`;
      const from = `  wanted by ${job.from.join(", ") || "a package that depends on it"}\n`;
      const chain = job.reasons.map(
        ({ text, since, endsWhen, endsAt }, depth) =>
          `${"  ".repeat(depth + 1)}because ${shownText(text)} Since ${agoText(since, nowMs)}; ends when ${shownText(endsWhen)}${endsAt === undefined ? "" : ` (${endsAt})`}.\n`,
      );
      return head + from + chain.join("");
    })
    .join("\n");
  return bar === undefined ? texts : `${barText(bar, nowMs)}\n${texts}`;
}

/** Two lines, or nothing. */
function barText(bar: BarNote | undefined, nowMs: number): string {
  if (bar === undefined) return "";
  const until = bar.until === undefined ? "until it is lifted" : `until ${bar.until}`;
  return `${shownText(bar.text)}, since ${agoText(bar.since, nowMs)}, ${until}\nhint: ${shownText(bar.hint)}\n`;
}

export function pageText(detail: EndpointDetail, nowMs: number): string {
  const { name, site, tenant, groups, installed, detected, scannedAt, bar } = detail;
  const rows = installed.map((one) => [`${one.name}@${one.version}`, agoText(one.since, nowMs)]);
  const table = rows.length === 0 ? "no package\n" : tableText(["INSTALLED", "SINCE"], rows);
  const scan = `${countText(detected.length, "program")} detected, scanned ${agoText(scannedAt, nowMs)}`;
  return `${name} at ${site}, tenant ${tenant}
  groups      ${groups.join(", ") || "none"}
  software    ${scan}
${table}${barText(bar, nowMs)}`;
}

function softwareText({ detected, scannedAt }: EndpointDetail, nowMs: number): string {
  const head = `scanned ${agoText(scannedAt, nowMs)}\n`;
  const rows = detected.map((one) => [shownText(one.name), shownText(one.version), one.source]);
  return head + (rows.length === 0 ? "" : tableText(["SOFTWARE", "VERSION", "FOUND BY"], rows));
}

function logText({ runs }: EndpointDetail): string {
  if (runs.length === 0) return "no run reported yet\n";
  return runs
    .map((run) => {
      const rows = run.entries.map((entry) => [
        new Date(entry.atMs).toISOString(),
        entry.step,
        entry.package ?? "",
        entry.outcome ?? "",
        shownText(entry.text),
      ]);
      const head = `run ${new Date(run.startedMs).toISOString()}\n`;
      return head + tableText(["TIME", "STEP", "PACKAGE", "RESULT", "TEXT"], rows);
    })
    .join("\n");
}
