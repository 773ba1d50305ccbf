/** Groups of endpoints and of packages, and the assignments between them. */
import { DeployError } from "../../protocol/errors.ts";
import {
  parseEndpointName,
  parsePackageName,
  parsePackageVersion,
  type EndpointName,
} from "../../protocol/ids.ts";
import {
  parseAssignments,
  parseChangesAnswer,
  parseEndpointGroupDetail,
  parseEndpointGroups,
  type Assignments,
  type ChangesAnswer,
  type IntentKind,
} from "../../protocol/intent-api.ts";
import {
  EnsureSchema,
  parseIntentFile,
  type IntentFile,
  type PackageEntry,
} from "../../protocol/intent.ts";
import { parserOf } from "../../protocol/json.ts";
import { dryRunField, printChanges, type ChangeOptions } from "./change-text.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { scheduleFrom, type ScheduleOptions } from "./schedule-options.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export type ChangingOptions = OperatorOptions & ChangeOptions;

export interface EndpointGroupOptions extends ChangingOptions {
  readonly query?: string;
  readonly endpoint?: readonly string[];
  readonly tenant?: string;
}

const parseEnsure = parserOf("the word after ensure", EnsureSchema);

/** Objects as in a file; the other parts of the coordinator's intent stay. */
export async function applyObjects(
  intent: Omit<IntentFile, "v">,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const body = { intent: parseIntentFile({ v: 1, ...intent }), ...dryRunField(options) };
  const answer = await client.tell("POST", "/v1/intent", body, parseChangesAnswer);
  printChanges(answer, options, session);
}

export async function removeObject(
  kind: IntentKind,
  name: string,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const body = { kind, name, ...dryRunField(options) };
  const answer = await client.tell("POST", "/v1/intent/remove", body, parseChangesAnswer);
  printChanges(answer, options, session);
}

export async function setEndpointGroup(
  name: string,
  options: EndpointGroupOptions,
  session: Session,
): Promise<void> {
  const { query, endpoint, tenant } = options;
  const members = endpointNames(endpoint ?? []);
  const group = {
    name,
    ...(tenant === undefined ? {} : { tenant }),
    ...(query === undefined ? { endpoints: members } : { query }),
  };
  if (query !== undefined && members.length > 0) {
    throw new DeployError("CLI_USAGE", {
      problem: "--query and --endpoint are given together",
      remedy: "A group has either a query or a list of endpoints.",
    });
  }
  await applyObjects({ endpointGroups: [group] }, options, session);
}

export async function changeMembers(
  group: string,
  endpoints: readonly string[],
  isAdding: boolean,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const names = endpointNames(endpoints);
  const body = {
    group,
    ...(isAdding ? { add: names } : { remove: names }),
    ...dryRunField(options),
  };
  const path = "/v1/endpoint-groups/members";
  printChanges(await client.tell("POST", path, body, parseChangesAnswer), options, session);
}

export async function listEndpointGroups(
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const groups = await client.ask("/v1/endpoint-groups", parseEndpointGroups);
  const rows = groups.map((one) => [
    one.name,
    one.tenant,
    String(one.endpointCount),
    one.query ?? "",
  ]);
  const text =
    rows.length === 0
      ? "no endpoint group yet\nnext: branchline endpoint-group set --help\n"
      : tableText(["NAME", "TENANT", "ENDPOINTS", "QUERY"], rows);
  printResult(session.terminal, options.json, { endpointGroups: groups }, text);
}

export async function showEndpointGroup(
  name: string,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const path = `/v1/endpoint-groups/${encodeURIComponent(name)}`;
  const group = await client.ask(path, parseEndpointGroupDetail);
  const members = group.endpoints.map((one) => `  ${one}\n`).join("");
  const kind = group.query === undefined ? "listed" : `by query: ${group.query}`;
  const text = `${group.name} (tenant ${group.tenant}, ${kind})\n${members || "  no endpoint\n"}`;
  printResult(session.terminal, options.json, group, text);
}

/** `acme/app@1.2`, `acme/app@1.2,attempt-limit=5,pinned`, `acme/app,ensure=latest`. */
export function packageEntryOf(text: string): PackageEntry {
  const [first = "", ...settings] = text.split(",").map((part) => part.trim());
  const at = first.lastIndexOf("@");
  const name = parsePackageName(at < 1 ? first : first.slice(0, at));
  const version = at < 1 ? {} : { version: parsePackageVersion(first.slice(at + 1)) };
  return settings.reduce<PackageEntry>((entry, setting) => withSetting(entry, setting), {
    name,
    ...version,
  });
}

function withSetting(entry: PackageEntry, setting: string): PackageEntry {
  const [key, value = ""] = setting.split("=");
  if (key === "ensure") return { ...entry, ensure: parseEnsure(value) };
  if (key === "attempt-limit" && /^[0-9]{1,3}$/u.test(value)) {
    return { ...entry, attemptLimit: Number(value) };
  }
  if (setting === "pinned") return { ...entry, isPinned: true };
  throw new DeployError("INPUT_INVALID", {
    what: `the setting "${setting.slice(0, 100)}" of ${entry.name}`,
    expected: "ensure=present|latest|updateOnly|absent, attempt-limit=N or pinned",
  });
}

export async function setPackageGroup(
  name: string,
  packages: readonly string[],
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  const entries = packages.map(packageEntryOf);
  await applyObjects({ packageGroups: [{ name, entries }] }, options, session);
}

export async function listPackageGroups(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const { packageGroups = [] } = await client.ask("/v1/intent", parseIntentFile);
  const rows = packageGroups.flatMap(({ name, entries }) =>
    entries.map((entry, index) => [
      index === 0 ? name : "",
      entry.version === undefined ? entry.name : `${entry.name}@${entry.version}`,
      entry.ensure ?? "present",
      entry.attemptLimit === undefined ? "" : String(entry.attemptLimit),
      entry.isPinned === true ? "yes" : "",
    ]),
  );
  const text =
    rows.length === 0
      ? "no package group yet\nnext: branchline package-group set --help\n"
      : tableText(["NAME", "PACKAGE", "ENSURE", "ATTEMPTS", "PINNED"], rows);
  printResult(session.terminal, options.json, { packageGroups }, text);
}

export async function assign(
  packageGroup: string,
  endpointGroup: string,
  options: ChangingOptions & ScheduleOptions,
  session: Session,
): Promise<void> {
  const schedule = scheduleFrom(options);
  const link = { packageGroup, endpointGroup, ...(schedule === undefined ? {} : { schedule }) };
  await applyObjects({ assignments: [link] }, options, session);
}

/** The other view's edit: one cell of the matrix off. */
export async function unassign(
  packageGroup: string,
  endpointGroup: string,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const body = { packageGroup, endpointGroup, isAssigned: false, ...dryRunField(options) };
  const answer = await client.tell("PUT", "/v1/assignments", body, parseChangesAnswer);
  printChanges(requireChange(answer, `${packageGroup} x ${endpointGroup}`), options, session);
}

export async function listAssignments(
  options: OperatorOptions & { readonly matrix?: boolean },
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const assignments = await client.ask("/v1/assignments", parseAssignments);
  const text = options.matrix === true ? matrixText(assignments) : listText(assignments);
  printResult(session.terminal, options.json, assignments, text);
}

function matrixText({ matrix }: Assignments): string {
  const { packageGroups, endpointGroups, cells } = matrix;
  const rows = packageGroups.map((name, row) => [
    name,
    ...endpointGroups.map((_column, column) => (cells[row]?.[column] === true ? "x" : "-")),
  ]);
  return tableText(["PACKAGES \\ ENDPOINTS", ...endpointGroups], rows);
}

function listText({ list }: Assignments): string {
  if (list.length === 0) return "no assignment yet\nnext: branchline assign --help\n";
  const rows = list.map(({ packageGroup, endpointGroup, schedule }) => [
    packageGroup,
    endpointGroup,
    schedule === undefined ? "" : JSON.stringify(schedule),
  ]);
  return tableText(["PACKAGE GROUP", "ENDPOINT GROUP", "SCHEDULE"], rows);
}

function requireChange(answer: ChangesAnswer, name: string): ChangesAnswer {
  if (answer.changes.some(({ change }) => change !== "none")) return answer;
  throw new DeployError("NOT_FOUND", { what: `assignment ${name}` });
}

export function endpointNames(texts: readonly string[]): EndpointName[] {
  return texts.map((text) => parseEndpointName(text));
}
