/** The fleet's status as tables; a pure function of the answer and the time. */
import type { InspectColor } from "node:util";
import type { Status, StatusEndpoint, StatusJob } from "../../protocol/operator-api.ts";
import type { SharingReason, StatusLine } from "../../protocol/traffic.ts";
import { agoText, bytesText, countText } from "./quantities.ts";
import { rateText } from "./rates.ts";
import { policyText } from "./site-limit.ts";
import { shownText, tableText } from "./table.ts";

export interface StatusLook {
  readonly nowMs: number;
  readonly style: (style: InspectColor, text: string) => string;
}

/** Refusals of one endpoint that are shown; all of them are in the JSON. */
const REFUSALS_SHOWN = 3;

const SHARING_REASONS: Readonly<Record<SharingReason, string>> = {
  batteryLow: "on battery, below 40 %",
  metered: "on a metered link",
  vpn: "on a VPN",
  wifi: "on Wi-Fi",
  diskFull: "the disk is almost full",
  busy: "the processor is overloaded",
  memoryLow: "little memory is left",
  off: "switched off at its start",
};

export function statusText(status: Status, look: StatusLook): string {
  const isEmpty = status.endpoints.length === 0 && status.sites.length === 0;
  const sections = [
    noticeText(status, look),
    isEmpty ? "no site and no endpoint yet\nnext: branchline site create NAME --subnet CIDR\n" : "",
    section("ENDPOINTS", endpointTable(status, look), look),
    section("JOBS", jobTable(status, look), look),
    section("SITES", siteTable(status), look),
    section("LINES", lineTable(status, look), look),
    section("SHARING LESS", sharingTable(status), look),
    section("CACHES", cacheTable(status), look),
    section("REFUSALS", refusalTable(status, look), look),
  ];
  return sections.filter((text) => text !== "").join("\n");
}

function noticeText({ notices }: Status, look: StatusLook): string {
  const lines = notices.map(({ message, hint }) => {
    return `${look.style("yellow", "warning")}: ${shownText(message)}\nhint: ${shownText(hint)}\n`;
  });
  return lines.join("");
}

function section(title: string, table: string, look: StatusLook): string {
  return table === "" ? "" : `${look.style("bold", title)}\n${table}`;
}

function endpointTable({ endpoints }: Status, look: StatusLook): string {
  const rows = endpoints.map((endpoint) => [
    endpoint.name,
    endpoint.isAtSite ? endpoint.site : `${endpoint.site} (away)`,
    endpoint.role,
    endpoint.dp ?? "-",
    agoText(endpoint.lastSeen, look.nowMs),
    bytesText(endpoint.bytes.local),
    bytesText(endpoint.bytes.peer),
    bytesText(endpoint.bytes.dp),
    bytesText(endpoint.bytes.origin),
  ]);
  if (rows.length === 0) return "";
  const bytes = ["FROM SELF", "FROM PEERS", "FROM DP", "FROM ORIGIN"];
  return tableText(["NAME", "SITE", "ROLE", "DP", "LAST SEEN", ...bytes], rows);
}

function jobTable({ endpoints }: Status, look: StatusLook): string {
  const rows = endpoints.flatMap((endpoint) =>
    endpoint.jobs.map((job) => jobRow(endpoint, job, look)),
  );
  if (rows.length === 0) return "";
  const headings = ["ENDPOINT", "PACKAGE", "STATE", "RESULT", "ATTEMPT", "SINCE", "REASON"];
  return tableText(headings, rows);
}

function jobRow(endpoint: StatusEndpoint, job: StatusJob, look: StatusLook): readonly string[] {
  return [
    endpoint.name,
    `${job.package}@${job.version}`,
    look.style(stateStyle(job), job.state),
    resultText(job),
    String(job.attempt),
    agoText(job.since, look.nowMs),
    shownText(job.reason ?? ""),
  ];
}

// OCO-43: an exit code and a code of ours never share a number space, nor a word on the screen.
function resultText(job: StatusJob): string {
  const parts = [
    job.outcome,
    job.exitCode === undefined ? undefined : `exit ${job.exitCode}`,
    job.systemCode === undefined ? undefined : `system code ${job.systemCode}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ") || "-";
}

function stateStyle({ state }: StatusJob): InspectColor {
  if (state === "succeeded" || state === "alreadyInstalled") return "green";
  if (state === "failed" || state === "expired" || state === "incompatible") return "red";
  return state === "conflict" ? "red" : "yellow";
}

function siteTable({ sites }: Status): string {
  const rows = sites.map((site) => [
    site.name,
    site.dps.join(", ") || "-",
    site.wanRatio === 0 ? "-" : site.wanRatio.toFixed(3),
    bytesText(site.originBytes),
    bytesText(site.packageBytes),
    forcedText(site.forced.holderUnreachable, site.forced.noProgress),
  ]);
  if (rows.length === 0) return "";
  const headings = ["NAME", "DPS", "WAN RATIO", "FROM ORIGIN", "PACKAGES", "FETCHED AGAIN"];
  return tableText(headings, rows);
}

/** Only sites with limits: most lines have none. */
function lineTable({ sites }: Status, look: StatusLook): string {
  const rows = sites.flatMap(({ name, line }) =>
    line === undefined ? [] : [[name, lineStateText(line, look), policyText(line.policy)]],
  );
  return rows.length === 0 ? "" : tableText(["SITE", "NOW", "LIMITS"], rows);
}

function lineStateText(line: StatusLine, look: StatusLook): string {
  if (!line.isOpen) {
    const until = line.changesAt === undefined ? "" : ` until ${line.changesAt}`;
    return look.style("yellow", `closed${until}`);
  }
  if (line.rateBytesPerSec === undefined) return "open";
  return `${rateText(line.rateBytesPerSec)}, ${line.queueMs ?? 0} ms queue`;
}

/** Endpoints that hold nothing are left out. */
function cacheTable({ endpoints }: Status): string {
  const rows = endpoints.flatMap(({ name, cache }) =>
    cache === undefined || cache.usedBytes === 0
      ? []
      : [[name, ...[cache.usedBytes, cache.quotaBytes, cache.pinnedBytes].map(bytesText)]],
  );
  if (rows.length === 0) return "";
  return tableText(["ENDPOINT", "USED", "QUOTA", "PINNED"], rows);
}

function sharingTable({ endpoints }: Status): string {
  const rows = endpoints.flatMap(({ name, sharing }) =>
    sharing?.reason === undefined
      ? []
      : [[name, String(sharing.uploadSlots), SHARING_REASONS[sharing.reason]]],
  );
  return rows.length === 0 ? "" : tableText(["ENDPOINT", "SLOTS", "WHY"], rows);
}

function forcedText(holderUnreachable: number, noProgress: number): string {
  const total = holderUnreachable + noProgress;
  if (total === 0) return "-";
  const reasons = `${holderUnreachable} holder unreachable, ${noProgress} no progress`;
  return `${countText(total, "fragment")} (${reasons})`;
}

function refusalTable({ endpoints }: Status, look: StatusLook): string {
  const rows = endpoints.flatMap((endpoint) =>
    endpoint.refusals
      .slice(-REFUSALS_SHOWN)
      .map((refusal) => [
        endpoint.name,
        shownText(refusal.code),
        agoText(refusal.at, look.nowMs),
        shownText(refusal.detail),
      ]),
  );
  if (rows.length === 0) return "";
  return tableText(["ENDPOINT", "CODE", "WHEN", "WHAT"], rows);
}
